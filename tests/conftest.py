"""What all tests share."""

from hypothesis import settings

# How long an example takes is the machine's business: a busy one must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
