"""
Clients: programs that talk to a real service, each with the service that it needs.

Each returns its output as text, which depends on nothing but the bytes that it receives: it is the
same directly, through a relay, and from a recording.  Each puts the service into the state that it
expects.
"""

import os
import re
import smtplib
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from tempfile import NamedTemporaryFile
from typing import Any

import psycopg
import redis
from attrs import frozen
from pymemcache.client.base import Client as Memcache  # type: ignore[import-untyped]

from tests.support import live, services
from tests.support.live import PATIENCE
from tests.support.services import Service

LARGE = bytes(range(256)) * 1024


@frozen
class ClientProgram:
    """
    A client program.

    :param name: for messages.
    :param what: what it does.
    :param start: starts the service that it needs.
    :param run: runs it against a host and a port, and returns its output.
    :param tls: whether it speaks TLS, so that a relay has to speak TLS to both sides.
    """

    name: str
    what: str
    start: Callable[[], Service]
    run: Callable[[str, int], str]
    tls: bool = False


def lines(*values: object) -> str:
    """Return the reprs of *values*, one a line."""
    return "".join(f"{value!r}\n" for value in values)


def redis_py(host: str, port: int, protocol: int) -> str:
    """Values of several types, a pipeline, a transaction, an error, and published messages."""
    options: dict[str, Any] = {"protocol": protocol, "socket_timeout": PATIENCE}
    with redis.Redis(host, port, **options) as client:
        client.flushall()
        client.set("large", LARGE)
        client.hset("hash", mapping={"a": "1", "b": "2"})
        client.zadd("sorted", {"x": 1.5, "y": 2.5})
        pipeline = client.pipeline(transaction=False)
        for number in range(200):
            pipeline.set(f"key{number}", number)
            pipeline.get(f"key{number}")
        piped = pipeline.execute()
        transaction = client.pipeline(transaction=True)
        transaction.incr("counter").incr("counter").get("counter")
        output = lines(
            client.get("large") == LARGE,
            client.get("none"),
            sorted(client.hgetall("hash").items()),
            client.zrange("sorted", 0, -1, withscores=True),
            piped,
            transaction.execute(),
        )
        try:
            client.lpush("large", "a")
        except redis.ResponseError as error:
            output += lines(str(error))
        with client.pubsub() as subscriber:
            subscriber.subscribe("news")
            received = [subscriber.get_message(timeout=PATIENCE)]
            for text in ("one", "two"):
                client.publish("news", text)
                received.append(subscriber.get_message(timeout=PATIENCE))
        return output + lines(*received)


def redis_py_2(host: str, port: int) -> str:
    """redis-py with RESP2."""
    return redis_py(host, port, 2)


def redis_py_3(host: str, port: int) -> str:
    """redis-py with RESP3."""
    return redis_py(host, port, 3)


def pymemcache(host: str, port: int) -> str:
    """Values, many at once, a counter, and a comparison of versions."""
    client = Memcache((host, port), connect_timeout=PATIENCE, timeout=PATIENCE)
    try:
        client.flush_all(noreply=False)
        client.set("large", LARGE, noreply=False)
        client.set_many({"a": b"1", "b": b"two\r\nlines"}, noreply=False)
        value, version = client.gets("a")
        return lines(
            client.get("large") == LARGE,
            sorted(client.get_many(["a", "b", "none"]).items()),
            client.add("a", b"again", noreply=False),
            client.incr("a", 41),
            (value, client.cas("a", b"old", version, noreply=False)),
            client.delete("b", noreply=False),
            client.get("b"),
        )
    finally:
        client.close()


_PSQL = """\
CREATE TEMP TABLE people (id int, name text);
COPY people FROM STDIN;
1\tAnn
2\tBob
\\.
SELECT * FROM people ORDER BY id;
SELECT repeat('x', 100000) = repeat('x', 100000), generate_series(1, 3);
SELECT 1 / 0;
COPY people TO STDOUT;
\\echo done
"""


def psql(host: str, port: int) -> str:
    """Psql, with queries, an error, and COPY both ways."""
    ended = subprocess.run(
        [
            *(live.program("psql"), "--no-psqlrc", "--no-password", "--no-align"),
            *("--host", host, "--port", str(port), "--username", "postgres", "--file", "-"),
        ],
        input=_PSQL,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        env=os.environ | {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
    )
    return f"{ended.stdout}status {ended.returncode}\n"


def psycopg_3(host: str, port: int) -> str:
    """Prepared statements, binary values, COPY in both formats, and an error."""
    connection = psycopg.connect(
        host=host,
        port=port,
        user="postgres",
        sslmode="disable",
        gssencmode="disable",
        connect_timeout=int(PATIENCE),
    )
    with connection, connection.cursor() as cursor:
        output = ""
        for number in range(3):
            cursor.execute("SELECT %s::int + 1, %s::text", (number, "a"), prepare=True)
            output += lines(cursor.fetchall())
        cursor.execute("SELECT %b::bytea, %b::int8, 1.5::float8", (LARGE, 2**40), binary=True)
        row = cursor.fetchone()
        assert row is not None
        output += lines(row[0] == LARGE, row[1:])
        cursor.execute("CREATE TEMP TABLE people (id int, name text)")
        with cursor.copy("COPY people FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for number in range(1000):
                copy.write_row((number, f"name {number}"))
        with cursor.copy("COPY people TO STDOUT") as copy:
            output += lines(sum(len(piece) for piece in copy))
        try:
            with connection.transaction():
                cursor.execute("SELECT 1 / 0")
        except psycopg.Error as error:
            output += lines(str(error))
        return output


def smtp(host: str, port: int) -> str:
    """smtplib, with a message, and with a recipient that is refused by the syntax."""
    message = EmailMessage()
    message["From"], message["To"] = "ann@client.example", "bob@mail.example"
    message["Subject"] = "Books"
    message["Message-ID"], message["Date"] = "<1@client.example>", "Sat, 1 Jan 2000 00:00:00 +0000"
    message.set_content("One line.\n.A line with a dot.\n" + "x" * 500 + "\n")
    client = smtplib.SMTP(host, port, local_hostname="client.example", timeout=PATIENCE)
    with client:
        greeting = client.ehlo()
        refused = client.send_message(message)
        return lines(greeting, refused, client.noop(), client.docmd("NONSENSE"), client.quit())


def s_client(host: str, port: int) -> str:
    """``openssl s_client``, whose lines come back reversed."""
    with NamedTemporaryFile() as ca:
        ca.write(live.pem())
        ca.flush()
        ended = subprocess.run(
            [
                *(live.program("openssl"), "s_client", "-connect", f"{host}:{port}", "-quiet"),
                *("-CAfile", ca.name, "-servername", "localhost"),
                *("-verify_hostname", "localhost", "-verify_return_error"),
            ],
            # The service ends the connection at the last line.
            input=b"first\nsecond\n" + b"x" * 10_000 + b"\nCLOSE\n",
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    return f"{ended.stdout!r}\nstatus {ended.returncode}\n"


#: All client programs.
PROGRAMS = (
    ClientProgram(
        "redis-py, RESP2",
        "values, pipelines, a transaction, published messages",
        services.redis_server,
        redis_py_2,
    ),
    ClientProgram(
        "redis-py, RESP3", "the same, with what RESP3 pushes", services.redis_server, redis_py_3
    ),
    ClientProgram(
        "pymemcache", "values, large ones, many at once, versions", services.memcached, pymemcache
    ),
    ClientProgram("psql", "queries, an error, COPY both ways", services.postgresql, psql),
    ClientProgram(
        "psycopg", "prepared statements, binary values, COPY", services.postgresql, psycopg_3
    ),
    ClientProgram(
        "smtplib", "a message, with what SMTP does to its lines", services.smtp_server, smtp
    ),
    ClientProgram("openssl s_client", "TLS on both sides", services.tls_echo, s_client, tls=True),
)


def with_each_program(case: type[Any]) -> type[Any]:
    """Add a test to *case* for each program, which passes the program to ``check_program``."""
    for program in PROGRAMS:

        def test(self: Any, program: ClientProgram = program) -> None:
            self.check_program(program)

        words = re.findall(r"[a-z0-9]+", program.name.lower())
        test.__doc__ = f"With {program.name}: {program.what}."
        setattr(case, "_".join(["test", *words]), test)
    return case
