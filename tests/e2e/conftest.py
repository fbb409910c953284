"""The stack under test: a local AWS of this session's own, with the real CDK app deployed and the models published.

Nothing is mocked: the zips of `make package` run as processes over the Lambda Runtime API. Needs target/lambda/*.zip,
target/release/tribunal, datasets/ip-ranges.bin and node_modules (`make test-e2e` sees to all of them).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import botocore.config
import botocore.session
import pytest

ROOT = Path(__file__).resolve().parents[2]
TRIBUNAL = ROOT / "target/release/tribunal"
SOURCES = ROOT / "tests/e2e/sources.toml"
CREDENTIALS = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what: str, check, seconds: float = 60.0, every: float = 0.25):
    """Polls `check` until it gives something true, and returns that; fails with the last answer otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        last = check()
        if last:
            return last
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:.0f} s; last answer: {last!r}")
        time.sleep(every)


@dataclass
class Stack:
    """A deployed stack: its outputs, clients for it, and `tribunal` pointed at it."""

    endpoint: str
    outputs: dict[str, str]
    environment: dict[str, str]

    def client(self, service: str):
        session = botocore.session.get_session()
        return session.create_client(
            service,
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=botocore.config.Config(inject_host_prefix=False, retries={"max_attempts": 2}),
        )

    def run(self, *arguments: str, text: str | None = None, code: int = 0) -> subprocess.CompletedProcess:
        """Runs `tribunal` and holds it to an exit code."""
        done = subprocess.run(
            [TRIBUNAL, *arguments],
            input=text,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        shown = f"tribunal {' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == code, f"exit code {done.returncode}, expected {code}: {shown}"
        return done

    def json(self, *arguments: str, text: str | None = None, code: int = 0):
        """Runs `tribunal --json`; several lines are JSON lines."""
        out = self.run("--json", *arguments, text=text, code=code).stdout.strip()
        try:
            return json.loads(out)
        except json.JSONDecodeError:
            return [json.loads(line) for line in out.splitlines()]

    def send(self, *bodies: str) -> list[str]:
        """Puts bodies on the queue as they are, and returns the message ids."""
        sqs = self.client("sqs")
        return [sqs.send_message(QueueUrl=self.outputs["QueueUrl"], MessageBody=b)["MessageId"] for b in bodies]

    def items(self, entity: str) -> list[dict]:
        """Every score of an entity, oldest first."""
        answer = self.client("dynamodb").query(
            TableName=self.outputs["TableName"],
            KeyConditionExpression="entity = :e",
            ExpressionAttributeValues={":e": {"S": entity}},
            ConsistentRead=True,
        )
        return answer["Items"]

    def wait_scored(self, entity: str) -> dict:
        """The newest score of an entity, once it has one."""
        return wait_for(f"a score of {entity}", lambda: self.items(entity))[-1]

    def take_dead_letters(self, count: int, seconds: float = 60.0) -> list[dict]:
        """Receives and deletes `count` messages from the DLQ."""
        sqs, url = self.client("sqs"), self.outputs["DlqUrl"]
        taken: list[dict] = []

        def take():
            answer = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)
            return len(taken) >= count

        wait_for(f"{count} dead letters", take, seconds, every=0.1)
        return taken

    def function(self, part: str) -> str:
        """The deployed name of the function whose name has `part` in it."""
        functions = self.client("lambda").list_functions()["Functions"]
        names = [f["FunctionName"] for f in functions if part.lower() in f["FunctionName"].lower()]
        assert len(names) == 1, f"functions with {part!r} in their name: {names}"
        return names[0]

    def restart(self, part: str) -> None:
        """Makes the next event of a function a cold start, as a change of its configuration does."""
        client, name = self.client("lambda"), self.function(part)
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        variables["TRIBUNAL_RESTARTED"] = str(time.time_ns())
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def start_ministack(log: Path) -> tuple[subprocess.Popen, str]:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    # ministack hands AWS_ENDPOINT_URL on to the functions: without it they would call AWS itself.
    environment = os.environ | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "AWS_ENDPOINT_URL": endpoint,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "ministack"],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def healthy():
        assert process.poll() is None, f"ministack ended: {log.read_text()[-2000:]}"
        try:
            return urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2).status == 200
        except OSError:
            return False

    wait_for("ministack", healthy)
    return process, endpoint


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    process, endpoint = start_ministack(folder / "ministack.log")
    try:
        deploy = [ROOT / "scripts/deploy-local.sh", endpoint, folder, "-c", f"sources={SOURCES}"]
        subprocess.run(deploy, cwd=ROOT, check=True, timeout=300)
        outputs = next(iter(json.loads((folder / "outputs.json").read_text()).values()))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        environment |= CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint, "NO_COLOR": "1"}
        stack = Stack(endpoint, outputs, environment)
        stack.run("publish", "--from", "models", "--dataset", "datasets/ip-ranges.bin")
        yield stack
    finally:
        os.killpg(process.pid, signal.SIGKILL)
