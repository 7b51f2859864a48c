"""Tests of agentrig."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # on a busy machine an example takes as long as it takes
settings.load_profile("untimed")
