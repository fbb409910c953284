"""The registry's contract suite, on the local AWS's S3: the same that runs on a folder and in memory."""

import os
import subprocess

from conftest import CREDENTIALS, ROOT, Stack


def test_a_bucket_keeps_the_contract_that_a_folder_keeps(stack: Stack):
    stack.client("s3").create_bucket(Bucket="registry-contract")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | CREDENTIALS
    environment |= {
        "AWS_ENDPOINT_URL": stack.endpoint,
        "TRIBUNAL_TEST_REGISTRY": "s3://registry-contract/under/a/prefix",
    }
    command = ["cargo", "test", "--locked", "-p", "tribunal-registry", "--test", "contract", "--", "--ignored"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
