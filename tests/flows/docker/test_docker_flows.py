"""Whole workflows over HTTP on a real Docker Engine: how they end, what is published, what an algorithm sees."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from shared.names import Phase
from shared.pod_calls import sign_pod
from tests.flows.docker.harness import (
    POD_IMAGE,
    Place,
    container_of,
    docker,
    environment,
    is_there,
    job,
    place,
    python_job,
    until,
)
from tests.needs import needs

pytestmark = [needs("docker"), pytest.mark.xdist_group("docker-flows")]
full = pytest.mark.full
SLEEPS = "trap 'echo asked; exit 5' TERM; echo up; echo early >/data/outputs/early; while :; do sleep 0.1; done"
DEAF = "trap '' TERM; while :; do sleep 1; done"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("docker-flows")) as found:
        yield found
        found.until_clean()


def ending(record: dict[str, Any]) -> tuple[int, int | None, str | None]:
    """Status, exit code, reason."""
    details = record["terminationDetails"]
    return record["status"], details["exitCode"], details["reason"]


def test_two_branches_join_and_the_bytes_are_those_that_were_made(site: Place) -> None:
    content = secrets.token_bytes(200_000)
    data = {"index": 0, "files": site.file("data.bin", content)}
    records = site.run(
        job(0, "mkdir /data/outputs/part; head -c 1000 /data/inputs/data.bin >/data/outputs/part/head", input=[data]),
        job(1, "tail -c +1001 /data/inputs/data.bin >/data/outputs/tail", input=[data]),
        python_job(
            2,
            "import json, os\nfirst, second = json.loads(os.environ['DIDS'])\n"
            "head = open(f'/data/inputs/{first}/part/head', 'rb').read()\n"
            "tail = open(f'/data/inputs/{second}/tail', 'rb').read()\n"
            "open('/data/outputs/joined', 'wb').write(head + tail)\n",
            input=[{"index": 0, "fromJob": 0}, {"index": 1, "previousStage": 1}],
        ),
    )
    assert [ending(record) for record in records] == [(70, 0, None)] * 3
    assert site.results(records[2])["output"] == ("joined", content)
    archive = zipfile.ZipFile(io.BytesIO(site.output(records[0])))
    assert archive.namelist() == ["part/", "part/head"] and archive.read("part/head") == content[:1000]


SEES = """
import json, os, socket
def read(path):
    return open(path).read()
status = dict(line.split(":\\t", 1) for line in read("/proc/self/status").splitlines() if ":\\t" in line)
tree = sorted(os.path.join(folder, name) for folder, _, names in os.walk("/data") for name in names)
PIDS = ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")
host, _, port = os.environ["NODE"].partition(":")
def reaches(address):
    try:
        socket.create_connection(address, 2)
        return True
    except OSError:
        return False
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), os.getgroups()], "tree": tree, "env": dict(os.environ), "cwd": os.getcwd(),
    "status": {name: status[name].strip() for name in ("CapEff", "CapBnd", "CapPrm", "NoNewPrivs", "Seccomp")},
    "pids": read(next(path for path in PIDS if os.path.exists(path))),
    "nets": sorted(os.listdir("/sys/class/net")), "custom": json.loads(read("/data/inputs/algoCustomData.json")),
    "reaches": [reaches((host, int(port))), reaches(("1.1.1.1", 53))],
    "modes": {name: oct(os.stat("/data/" + name).st_mode & 0o777) for name in os.listdir("/data")},
    "algorithm": oct(os.stat("/data/transformations/algorithm").st_mode & 0o777),
    "mounts": [line.split()[1] for line in read("/proc/mounts").splitlines()],
}), file=open("/data/outputs/seen.json", "w"))
open("/tmp/writable", "w"); open("/data/logs/own.txt", "w").write("own"); open("/data/inputs/mine", "w")
"""


def test_an_algorithm_sees_its_contract_and_nothing_else(site: Place) -> None:
    did = "did:op:" + "ab" * 32
    files = [site.file("one.csv", b"1"), site.file("two.csv", b"2")]
    record = site.run(
        python_job(
            0,
            SEES,
            input=[
                {"index": 0, "did": did, "files": files},
                {"index": 1, "files": site.file("plain.txt", b"3")},
                {"index": 2, "did": did, "files": site.file("three.csv", b"4")},
            ],
            algorithm={
                "did": "did:op:" + "cd" * 32,
                "algocustomdata": {"n": 3},
                "envs": {"OWN": "value", "DIDS": "forged", "NODE": site.data_url.removeprefix("http://")},
            },
        )
    )[0]
    assert ending(record) == (70, 0, None), site.log(record)
    archive = zipfile.ZipFile(io.BytesIO(site.output(record)))
    seen = json.loads(archive.read("seen.json"))
    check_process(seen)
    bare = "ab" * 32
    assert seen["tree"] == sorted(
        [
            "/data/.door",
            "/data/inputs/algoCustomData.json",
            *(f"/data/inputs/{bare}/{index}" for index in range(3)),
            "/data/inputs/plain.txt",
            "/data/transformations/algorithm",
        ]
    )
    assert seen["custom"] == {"n": 3} and archive.read("logs/own.txt") == b"own"
    assert json.loads(seen["env"]["DIDS"]) == [bare] and seen["env"]["TRANSFORMATION_DID"] == "cd" * 32
    key = site.node.folder.joinpath("node.key").read_text().strip().removeprefix("0x")
    told = json.dumps(seen["env"])
    assert key not in told and "privateKey" not in told and "nodeHttpApi" not in told and "nodeAddress" not in told


def check_process(seen: dict[str, Any]) -> None:
    """User, rights, network, folders and the fixed variables."""
    assert seen["ids"][:2] == [1000, 1000] and 0 not in seen["ids"][2]
    assert seen["status"] == {
        "CapEff": "0" * 16, "CapBnd": "0" * 16, "CapPrm": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"
    }  # fmt: skip
    assert int(seen["pids"]) == 512 and seen["nets"] == ["lo"] and seen["reaches"] == [False, False]
    env = seen["env"]
    fixed = {"VOLUME": "/data", "INPUTS": "/data/inputs", "OUTPUTS": "/data/outputs", "LOGS": "/data/logs"}
    assert {name: env[name] for name in fixed} == fixed and env["OWN"] == "value" and env["HOME"] == "/tmp"
    assert len(env["secret"]) == 32 and int(env["secret"], 16)
    opened = {"inputs": "0o777", "outputs": "0o777", "logs": "0o777", "ddos": "0o755", "transformations": "0o755"}
    assert {name: seen["modes"][name] for name in opened} == opened and seen["algorithm"] == "0o755"
    assert not [mount for mount in seen["mounts"] if "docker.sock" in mount or mount.startswith("/workflow")]


def test_a_failing_algorithm_is_a_failed_job_with_its_log_and_outputs(site: Place) -> None:
    record = site.run_one("echo half >/data/outputs/part.txt; echo out; sleep 0.2; echo wrong >&2; exit 3")
    assert ending(record) == (41, 3, None) and record["terminationDetails"]["OOMKilled"] is False
    assert site.log(record) == "out\nwrong\n" and site.results(record)["output"] == ("part.txt", b"half\n")


def test_what_runs_after_a_failed_job_is_not_run(site: Place) -> None:
    first, second = site.run(job(0, "exit 1"), job(1, "true", runAfter=0))
    assert first["status"] == 41 and ending(second) == (31, None, "dependency")
    assert second["results"] == [] and site.starts_of(second["jobId"]) == 0


@full
def test_too_much_memory_is_told(site: Place) -> None:
    script = "open('/data/outputs/before', 'w').write('kept')\nprint('going', flush=True)\nx = bytearray(300 << 20)\n"
    record = site.run(python_job(0, script, compute={"ram": 0.1}))[0]
    assert ending(record) == (41, 137, "oom") and record["terminationDetails"]["OOMKilled"] is True
    assert site.log(record) == "going\n" and site.output(record) == b"kept"


@full
def test_over_time_is_finished_with_what_there_is(site: Place) -> None:
    record = site.run_one(SLEEPS, compute={"maxDuration": 2})
    assert ending(record) == (70, 5, "timeout")
    assert site.output(record) == b"early\n" and site.log(record) == "up\nasked\n"
    assert 2 <= record["algoDuration"] < 6


@full
def test_deaf_to_the_request_to_end_it_is_killed(site: Place) -> None:
    record = site.run_one(DEAF, compute={"maxDuration": 1})
    assert ending(record) == (70, 137, "timeout") and 10 <= record["algoDuration"] < 16


def test_stopped_while_running_it_is_finished_with_what_there_is(site: Place) -> None:
    workflow = site.submit(job(0, SLEEPS), job(1, "true", runAfter=0))
    running = site.until_running(workflow)
    until(lambda: "up" in docker("logs", container_of(running, Phase.RUN)))
    site.consumer.stop(jobId=running["jobId"])
    record, dependant = site.consumer.wait(workflow)
    assert ending(record) == (70, 5, "stopped") and site.output(record) == b"early\n"
    assert ending(dependant) == (31, None, "dependency")


@full
def test_stopped_in_the_queue_it_never_starts(site: Place) -> None:
    big = site.submit(job(0, SLEEPS, compute={"cpu": 2}))
    running = site.until_running(big)
    workflow = site.submit(job(0, "true", compute={"cpu": 2}))
    queued = site.consumer.status(workflowId=workflow)[0]
    assert queued["status"] == 1
    site.consumer.stop(jobId=queued["jobId"])
    assert ending(site.consumer.wait(workflow)[0]) == (70, None, "stopped")
    site.consumer.stop(workflowId=big)
    assert ending(site.consumer.wait(big)[0]) == (70, 5, "stopped")
    assert site.starts_of(queued["jobId"]) == 0 and site.starts_of(running["jobId"]) == 1


def test_a_missing_image_is_told_in_its_log(site: Place) -> None:
    record = site.run_one("true", image="127.0.0.1:9/no-such-image:1")
    assert ending(record) == (11, None, "error")
    log = site.log(record, "imageLog")
    assert "127.0.0.1:9" in log and len(log.splitlines()) <= 4, log


def test_an_entrypoint_that_is_not_there_is_one_clear_line(site: Place) -> None:
    record = site.run_one("true", entrypoint="no-such-program $ALGO")
    assert record["status"] == 41 and record["terminationDetails"]["reason"] == "error"
    [line] = site.log(record).splitlines()
    assert "no-such-program" in line and "runc" not in line and len(line) < 200, line


ODD = r"""
import os, socket
os.chdir("/data/outputs")
os.makedirs("sub/deeper/empty")
open("sub/inside", "w").write("inside")
os.symlink("sub/inside", "link-inside"); os.symlink("/etc/passwd", "link-outside")
os.symlink("nowhere", "link-dangling")
os.symlink("../../transformations/algorithm", "sub/link-up"); os.symlink("/data/outputs", "link-round")
os.mkfifo("fifo"); socket.socket(socket.AF_UNIX).bind("socket")
open("private", "w").write("private"); os.chmod("private", 0o600)
os.mkdir("closed"); open("closed/in", "w").write("in"); os.chmod("closed", 0o700)
for name in ("..dots", ". .", "new\nline", "back\\..\\slash", "-rf", "ünï"):
    open(name, "w").write("odd")
"""


@full
def test_hostile_outputs_are_packed_harmlessly(site: Place) -> None:
    record = site.run(python_job(0, ODD))[0]
    assert ending(record) == (70, 0, None), site.log(record)
    found = site.results(record)
    assert found["output"][0] == "outputs.zip"
    archive = zipfile.ZipFile(io.BytesIO(found["output"][1]))
    names = set(archive.namelist())
    assert {
        "sub/",
        "sub/deeper/",
        "sub/deeper/empty/",
        "sub/inside",
        "private",
        "closed/in",
        "..dots",
        "-rf",
        "ünï",
    } <= names
    assert archive.read("link-inside") == b"inside" and archive.read("private") == b"private"
    assert not names & {"link-outside", "link-dangling", "link-round", "sub/link-up", "fifo", "socket"}
    assert all(".." not in name.split("/") and not name.startswith("/") for name in names)
    log = found["publishLog"][1].decode()
    assert all(name in log for name in ("link-outside", "link-dangling", "fifo", "socket")), log


@full
def test_a_flood_of_output_ends_the_job_and_keeps_what_there_is(site: Place) -> None:
    script = (
        "truncate -s 1099511627776 /data/outputs/claims; echo first >/data/outputs/a; "
        "while :; do head -c 20000000 /dev/zero >>/data/logs/more; sleep 0.3; done"
    )
    record = site.run_one(script, compute={"disc": 0.05})
    assert ending(record)[::2] == (42, "disk")
    archive = zipfile.ZipFile(io.BytesIO(site.output(record)))
    assert archive.read("a") == b"first\n" and archive.getinfo("logs/more").file_size > 40_000_000
    assert "claims" not in archive.namelist() and "claims: 1,099,511,627,776 bytes" in site.log(record, "publishLog")


@full
def test_an_unreachable_input_is_told(site: Place) -> None:
    gone = {"type": "url", "url": f"{site.data_url}/not-there.csv", "method": "GET"}
    record = site.run_one("true", input=[{"index": 0, "files": gone}])
    assert ending(record) == (31, None, "error") and "404" in site.log(record, "configurationLog")
    record = site.run_one("true", algorithm={"rawcode": None, "files": gone})
    assert ending(record) == (32, None, "error") and site.starts_of(record["jobId"]) == 0


@full
def test_an_input_on_the_inside_is_refused(site: Place) -> None:
    for url in ("http://127.0.0.1:1/x", "http://169.254.169.254/latest/meta-data", "http://10.255.0.1/x"):
        record = site.run_one("true", input=[{"index": 0, "files": {"type": "url", "url": url, "method": "GET"}}])
        assert ending(record) == (31, None, "error")
        log = site.log(record, "configurationLog")
        assert "not allowed" in log or "private" in log or "not public" in log, log


@full
def test_an_input_that_breaks_off_is_resumed(site: Place) -> None:
    content = secrets.token_bytes(1 << 20)
    data = site.file("broken.bin", content)
    site.served.break_after += [300_000, 200_000]
    record = site.run_one("sha256sum </data/inputs/broken.bin", input=[{"index": 0, "files": data}])
    assert site.log(record).split()[0] == hashlib.sha256(content).hexdigest()


@full
def test_an_image_pinned_by_a_wrong_checksum_is_not_run(site: Place) -> None:
    container = {"image": "127.0.0.1:9/x", "checksum": "sha256:" + "0" * 64, "entrypoint": "true"}
    record = site.run_one("true", algorithm={"container": container})
    assert ending(record) == (11, None, "error") and site.starts_of(record["jobId"]) == 0


@full
def test_a_pod_that_somebody_kills_is_started_again(site: Place) -> None:
    site.served.drip = gate = threading_event()
    workflow = site.submit(job(0, "echo ran", input=[{"index": 0, "files": site.file("slow", b"slow")}]))
    record = site.until_status(workflow, 30)
    pod = container_of(record, Phase.PROVISION)
    until(lambda: is_there(pod) and "1 files to fetch" in docker("logs", pod))
    docker("kill", pod)
    until(lambda: site.starts_of(record["jobId"], Phase.PROVISION) == 2)
    site.served.drip = None
    gate.set()
    record = site.consumer.wait(workflow)[0]
    assert ending(record) == (70, 0, None) and site.log(record) == "ran\n"


@full
def test_a_pod_that_is_lost_too_often_fails_the_job(site: Place) -> None:
    site.served.drip = gate = threading_event()
    workflow = site.submit(job(0, "echo ran", input=[{"index": 0, "files": site.file("slow2", b"slow")}]))
    record = site.until_status(workflow, 30)
    pod = container_of(record, Phase.PROVISION)
    for time in range(1, 5):
        until(lambda time=time: site.starts_of(record["jobId"], Phase.PROVISION) == time and is_there(pod))
        docker("kill", pod)
    record = site.consumer.wait(workflow)[0]
    site.served.drip = None
    gate.set()
    assert ending(record) == (31, None, "lost") and site.starts_of(record["jobId"], Phase.PROVISION) == 4


def threading_event() -> Any:
    """What holds the file server back until it is set."""
    import threading

    return threading.Event()


@full
def test_a_pod_that_ends_by_itself_fails_the_job_at_once(site: Place) -> None:
    site.served.drip = gate = threading_event()
    workflow = site.submit(job(0, "echo ran", input=[{"index": 0, "files": site.file("slow3", b"slow")}]))
    record = site.until_status(workflow, 30)
    pod = container_of(record, Phase.PROVISION)
    until(lambda: is_there(pod) and "1 files to fetch" in docker("logs", pod))
    docker("exec", pod, "python3", "-c", DIES)
    record = site.consumer.wait(workflow)[0]
    site.served.drip = None
    gate.set()
    assert ending(record) == (31, None, "error") and site.starts_of(record["jobId"], Phase.PROVISION) == 1


DIES = """
import os, signal
for pid in os.listdir('/proc'):
    if pid.isdigit() and int(pid) not in (1, os.getpid()):
        if b'pods.configuration' in open(f'/proc/{pid}/cmdline', 'rb').read():
            os.kill(int(pid), signal.SIGINT)
"""


@full
def test_a_pod_that_signs_with_another_jobs_key_is_refused(site: Place) -> None:
    site.served.drip = gate = threading_event()
    given = [{"index": 0, "files": site.file("slow4", b"slow")}]
    workflow = site.submit(job(0, "true", input=given), job(1, "true", input=given))
    one, other = until(lambda: all_in(site, workflow, 30))
    for record in (one, other):
        until(lambda record=record: is_there(container_of(record, Phase.PROVISION)))
    env = dict(
        line.split("=", 1)
        for line in json.loads(docker("inspect", "-f", "{{json .Config.Env}}", container_of(one, Phase.PROVISION)))
    )
    key = bytes.fromhex(env["privateKey"].removeprefix("0x"))
    own = pod_call(site, key, env["nodeAddress"], one["jobId"])
    foreign = pod_call(site, key, env["nodeAddress"], other["jobId"])
    site.served.drip = None
    gate.set()
    records = site.consumer.wait(workflow)
    late = pod_call(site, key, env["nodeAddress"], one["jobId"])
    assert (own, foreign) == (200, 401) and late in (401, 403, 409)
    assert [ending(record) for record in records] == [(70, 0, None)] * 2


def all_in(site: Place, workflow: str, status: int) -> list[dict[str, Any]] | None:
    """The workflow's records when all have this status."""
    records = site.consumer.status(workflowId=workflow)
    return records if all(record["status"] == status for record in records) else None


def pod_call(site: Place, key: bytes, node: str, job_id: str) -> int:
    """Ask for a job's provision as its pod would; the status of the answer."""
    body = b"{}"
    nonce, digest = secrets.token_hex(16), hashlib.sha256(body).hexdigest()
    signed = sign_pod(key, "c2dJobProvision", job_id, node, nonce, digest)
    headers = {"X-C2D-Job": job_id, "X-C2D-Nonce": nonce, "X-C2D-Digest": digest, "X-C2D-Signature": signed}
    url = f"{site.node.url}/api/services/c2dJobProvision"
    return site.consumer.pool.request("POST", url, body=body, headers=headers).status


@full
def test_oceans_own_form_gives_a_tar(site: Place) -> None:
    image, _, tag = POD_IMAGE.rpartition(":")
    command = {
        "environment": site.consumer.environment()["id"],
        "algorithm": {
            "meta": {
                "rawcode": "open('/data/outputs/a', 'w').write('a')",
                "container": {"image": image, "tag": tag, "entrypoint": "python3 $ALGO", "checksum": ""},
            }
        },
        "datasets": [],
        "resources": [{"id": "cpu", "amount": 1}],
        "maxJobDuration": 60,
        "queueMaxWaitTime": 60,
    }
    started = site.consumer.start(command)[0]
    record = site.consumer.wait(started["workflowId"])[0]
    assert ending(record) == (70, 0, None) and site.results(record)["output"][0] == "outputs.tar"


@full
def test_ten_jobs_at_once_all_end_well(site: Place) -> None:
    consumers = [site.node.consumer() for _ in range(10)]
    started = [
        (consumer, site.submit(job(0, f"echo {index} >/data/outputs/n; sleep 0.5"), consumer=consumer))
        for index, consumer in enumerate(consumers)
    ]
    for index, (consumer, workflow) in enumerate(started):
        [record] = consumer.wait(workflow)
        assert ending(record) == (70, 0, None) and site.output(record, consumer) == f"{index}\n".encode()
        assert site.starts_of(record["jobId"]) == 1


@full
def test_a_flood_does_not_starve_a_neighbour(site: Place) -> None:
    flood = site.submit(*(job(index, "sleep 0.2", compute={"cpu": 1.5}) for index in range(5)))
    neighbour = site.node.consumer()
    one = site.submit(job(0, "true", compute={"cpu": 1.5}), consumer=neighbour)
    [record] = neighbour.wait(one)
    waiting = [each["status"] for each in site.consumer.status(workflowId=flood)]
    assert record["status"] == 70 and waiting.count(1) >= 3, waiting
    assert {each["status"] for each in site.consumer.wait(flood)} == {70}


@full
def test_a_drained_node_takes_nothing_new_and_ends_what_it_has(site: Place) -> None:
    running = site.submit(job(0, "sleep 2; echo done"))
    site.until_running(running)
    drain(site, "--wait")
    assert ending(site.consumer.status(workflowId=running)[0]) == (70, 0, None)
    waiting = site.submit(job(0, "true"))
    assert site.consumer.status(workflowId=waiting)[0]["status"] == 1
    drain(site, "--off")
    assert ending(site.consumer.wait(waiting)[0]) == (70, 0, None)


def drain(site: Place, *options: str) -> None:
    """Say `c2d drain`."""
    command = [sys.executable, "-m", "infra.c2d", "drain", "--data-dir", str(site.node.folder), *options]
    subprocess.run(command, env=dict(site.node.environment), check=True, timeout=60, capture_output=True)


@full
def test_two_engines_take_what_fits_each(tmp_path: Any) -> None:
    small = environment(resources=[{"id": "cpu", "total": 0.3, "min": 0.1, "max": 0.3}, *RAM_AND_DISK])
    wide = environment(resources=[{"id": "cpu", "total": 1, "min": 0.1, "max": 1}, *RAM_AND_DISK])
    engines = [
        {"name": f"one-{secrets.token_hex(3)}", "environments": [small]},
        {"name": f"two-{secrets.token_hex(3)}", "environments": [wide]},
    ]
    with place(tmp_path, *engines) as site:
        records = site.run(
            job(0, "sleep 2", compute={"cpu": 1}),
            job(1, "sleep 2", compute={"cpu": 0.3}),
            job(2, "cat $INPUTS/*/n", input=[{"index": 0, "fromJob": 3}], runAfter=[0, 1]),
            job(3, "echo n >/data/outputs/n", compute={"cpu": 0.3}),
        )
        assert [ending(record) for record in records] == [(70, 0, None)] * 4 and site.log(records[2]) == "n\n"
        used = dict(site.rows("SELECT job_id, engine FROM job"))
        assert set(used.values()) == {engine["name"] for engine in engines}
        assert used[records[0]["jobId"]] == engines[1]["name"] and used[records[1]["jobId"]] == engines[0]["name"]
        site.until_clean()


RAM_AND_DISK = ({"id": "ram", "total": 4, "min": 0.05, "max": 4}, {"id": "disk", "total": 40, "min": 0.01, "max": 40})
