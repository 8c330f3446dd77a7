from hypothesis import HealthCheck, settings

from pipeline.tests.own_bucket import bucket as bucket
from pipeline.tests.own_bucket import s3 as s3

# The first text that hypothesis makes on a machine takes it a second, for its table of Unicode.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")
