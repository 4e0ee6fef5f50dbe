"""A caller who may do nothing but assume roles, and roles with the policies of deploy/, at a service (moto) that checks signatures and rights.

Arguments: endpoint, and one of
  make DEPLOY STREAM BUCKET PREFIX   makes them, begins to check, and prints the caller's key {"id": ..., "secret": ...}
  open                               checks nothing any more
"""

import json
import pathlib
import sys
import urllib.request

import boto3

REGION, ACCOUNT, TABLE = "us-east-1", "123456789012", "kinesis_checkpoints"
# Role, and the file with its rights.
ROLES = {"streams": "read", "checkpoints": "checkpoints", "lake": "lake"}


def client(service, endpoint):
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION)


def checks_rights(endpoint, after):
    """The service checks nothing of so many calls, and everything of those that follow."""
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=str(after).encode(), headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request) as reply:
        reply.read()


def policy(path, names):
    """A policy as this service can judge it: names filled in; of streams and tables it asks for the action alone, and of a transaction for a right of its own,
    which AWS does not have; conditions on prefixes it does not know."""
    text = path.read_text()
    for name, value in names.items():
        text = text.replace(name, value)
    document = json.loads(text)
    for statement in document["Statement"]:
        statement.pop("Condition", None)
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if "dynamodb:PutItem" in actions:
            actions.append("dynamodb:TransactWriteItems")
        statement["Action"] = actions
        if not actions[0].startswith("s3:"):
            statement["Resource"] = "*"
    return json.dumps(document)


def make(endpoint, deploy, stream, bucket, prefix):
    iam = client("iam", endpoint)
    arn = iam.create_user(UserName="server")["User"]["Arn"]
    names = {"BUCKET": bucket, "PREFIX": prefix, "REGION": REGION, "ACCOUNT": ACCOUNT, "STREAM": stream, "TABLE": TABLE}
    roles = []
    for role, file in ROLES.items():
        statement = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
        trust = {"Version": "2012-10-17", "Statement": [statement]}
        roles.append(iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])
        rights = policy(pathlib.Path(deploy) / f"iam-policy-{file}.json", names)
        iam.put_role_policy(RoleName=role, PolicyName="rights", PolicyDocument=rights)
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles}]}
    iam.put_user_policy(UserName="server", PolicyName="assumes", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="server")["AccessKey"]
    client("s3", endpoint).create_bucket(Bucket=bucket)
    checks_rights(endpoint, 0)
    print(json.dumps({"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case [endpoint, "make", *rest]:
            make(endpoint, *rest)
        case [endpoint, "open"]:
            checks_rights(endpoint, "inf")
        case _:
            sys.exit(__doc__)
