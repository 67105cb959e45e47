"""The network. Importing this makes phonemo's models known to transformers' Auto classes."""

from phonemo.model.network import EmotionOutput, PhonemoConfig, PhonemoForAudioClassification

__all__ = ["EmotionOutput", "PhonemoConfig", "PhonemoForAudioClassification"]
