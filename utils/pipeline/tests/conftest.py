from hypothesis import HealthCheck, settings

from pipeline.tests.own_bucket import bucket as bucket
from pipeline.tests.own_bucket import s3 as s3

# A busy machine is no fault.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
