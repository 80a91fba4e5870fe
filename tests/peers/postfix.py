"""Debian's Postfix, Dovecot and postgrey as one mail host on loopback: STARTTLS, TLS, greylisting, IMAPS.

Mailboxes are ada@example.org and alan@example.org, `team` logs in with `s3cret`.
"""

from __future__ import annotations

import email
import email.policy
import imaplib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
from peers.certificates import Certificate, make_certificate

_PROGRAMS = {"postfix": "postfix", "dovecot": "dovecot-imapd", "postgrey": "postgrey"}
PEOPLE = ("ada", "alan")


@dataclass(frozen=True)
class MailHost:
    starttls: int
    tls: int
    greylisted: int
    imaps: int
    certificate: Certificate

    def delivered(self, who: str, at_least: int) -> list[EmailMessage]:
        """The mails in somebody's inbox, once there are so many of them."""
        context = ssl.create_default_context(cafile=self.certificate.file)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with imaplib.IMAP4_SSL("127.0.0.1", self.imaps, ssl_context=context, timeout=60) as box:
                box.login(f"{who}@example.org", "s3cret")
                box.select("INBOX", readonly=True)
                numbers = box.search(None, "ALL")[1][0].split()
                if len(numbers) >= at_least:
                    bodies = [box.fetch(number, "(RFC822)")[1][0][1] for number in numbers]
                    return [email.message_from_bytes(body, policy=email.policy.default) for body in bodies]
        raise AssertionError(f"{who} has fewer than {at_least} mails after 30 s")


@contextmanager
def mail_host() -> Iterator[MailHost]:
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None and not Path(f"/usr/sbin/{program}").exists():
            pytest.skip(f"needs Debian package: {package}")
    if os.geteuid() != 0:
        pytest.skip("Postfix and Dovecot start as root only")
    with ExitStack() as stack:
        # Not pytest's own directory: the servers' users could not get through to it.
        base = Path(tempfile.mkdtemp(prefix="vidd-mx-"))
        stack.callback(shutil.rmtree, base)
        base.chmod(0o755)
        certificate = make_certificate(base)
        ports = _free_ports(5)
        host = MailHost(*ports[:4], certificate)
        stack.enter_context(_running(_postgrey(base, ports[4]), ports[4]))
        stack.enter_context(_running(_dovecot(base, host), host.imaps))
        stack.enter_context(_running(_postfix(base, host, ports[4]), host.starttls, base / "queue/pid/master.pid"))
        yield host


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [bound.getsockname()[1] for bound in sockets]


@contextmanager
def _running(command: list[str], port: int, pid_file: Path | None = None) -> Iterator[None]:
    """A server in the foreground; `pid_file` names its process where the command is a shell that waits for it."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        try:
            _wait_for(child, port, said)
            yield
        finally:
            if pid_file and pid_file.exists():
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
            else:
                child.terminate()
            child.wait(60)


def _wait_for(child: subprocess.Popen[bytes], port: int, said) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)  # there is nothing to wait on but the port
        else:
            return
    said.seek(0)
    raise AssertionError(f"{child.args} did not listen: {said.read().decode(errors='replace')[-2000:]}")


def _postgrey(base: Path, port: int) -> list[str]:
    data = base / "postgrey"
    data.mkdir()
    shutil.chown(data, "postgrey", "postgrey")
    return [
        "/usr/sbin/postgrey", f"--inet=127.0.0.1:{port}", "--delay=1", f"--dbdir={data}",
        "--whitelist-clients=/dev/null", "--whitelist-recipients=/dev/null", "--auto-whitelist-clients=0",
    ]  # fmt: skip


def _dovecot(base: Path, host: MailHost) -> list[str]:
    directory = base / "dovecot"
    directory.mkdir()
    (base / "mail").mkdir()
    shutil.chown(base / "mail", "nobody")
    nobody = pwd.getpwnam("nobody")
    names = ["team", *(f"{who}@example.org" for who in PEOPLE)]
    (directory / "users").write_text("".join(f"{name}:{{PLAIN}}s3cret::::::\n" for name in names))
    (directory / "dovecot.conf").write_text(
        f"""
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{host.certificate.file}
ssl_key = <{host.certificate.key}
mail_location = maildir:{base}/mail/%n
first_valid_uid = 1
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = static
  args = uid={nobody.pw_uid} gid={nobody.pw_gid} home={base}/mail/%n
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {host.imaps}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service auth {{
  unix_listener {base}/auth {{
    mode = 0666
  }}
}}
"""
    )
    return ["/usr/sbin/dovecot", "-F", "-c", str(directory / "dovecot.conf")]


def _postfix(base: Path, host: MailHost, postgrey: int) -> list[str]:
    directory = base / "postfix"
    queue, data = base / "queue", base / "data"
    for folder in (directory, queue, data):
        folder.mkdir()
    shutil.chown(data, "postfix")
    nobody = pwd.getpwnam("nobody")
    boxes = ", ".join(f"{{ {who}@example.org = {who}/ }}" for who in PEOPLE)
    (directory / "main.cf").write_text(
        f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file = {base}/maillog
maillog_file_prefixes = {base}
myhostname = mx.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
alias_maps =
smtpd_error_sleep_time = 0
smtpd_tls_cert_file = {host.certificate.file}
smtpd_tls_key_file = {host.certificate.key}
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {base}/auth
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
virtual_mailbox_domains = example.org
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
virtual_minimum_uid = 1
smtp_tls_security_level = may
"""
    )
    grey = (
        "-o smtpd_tls_security_level=may -o smtpd_relay_restrictions=permit_auth_destination,reject "
        f"-o smtpd_recipient_restrictions=check_policy_service,inet:127.0.0.1:{postgrey},permit"
    )
    (directory / "master.cf").write_text(
        f"""
127.0.0.1:{host.starttls} inet n - n - - smtpd
127.0.0.1:{host.tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{host.greylisted} inet n - n - - smtpd {grey}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
    )
    return ["/usr/sbin/postfix", "-c", str(directory), "start-fg"]
