"""The user's turns in a voice agent: their audio, their emotion, and the thread it is computed in.

Nothing here imports an agent framework; phonemo.integrations.pipecat and .livekit do.
"""
