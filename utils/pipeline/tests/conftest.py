from pipeline.tests.own_bucket import bucket as bucket
from pipeline.tests.own_bucket import s3 as s3
