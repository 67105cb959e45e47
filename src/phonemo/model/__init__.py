"""The network. Importing this package registers it with transformers' Auto classes."""

from phonemo.model.network import EmotionOutput, PhonemoConfig, PhonemoForAudioClassification

__all__ = ["EmotionOutput", "PhonemoConfig", "PhonemoForAudioClassification"]
