"""Makes a bucket. Arguments: S3 endpoint, name of the bucket."""

import sys

import boto3

endpoint, bucket = sys.argv[1:]
boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
