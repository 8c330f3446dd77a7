from own_bucket import bucket as bucket
from own_bucket import s3 as s3
