# SPDX-License-Identifier: GPL-2.0-or-later
"""FTP servers: vsftpd and proftpd, anonymous, serving as a system user that every machine has, all
their files in the lab's temporary directory. Both offer /data (known bytes), /big and /upload
(writable).
"""

import os

from .netns import sh, tool

PASSIVE_PORTS = (40000, 49999)
DATA = bytes(range(256)) * 256  # 64 KiB
BIG_SIZE = 8 << 20
USER, GROUP = "daemon", "daemon"  # not nobody: vsftpd wants a user whose home directory exists


class Site:
    """The directory tree that a server offers."""

    def __init__(self, lab, name):
        self.root = lab.dir(f"{name}-site")
        lab.file(f"{name}-site/data", DATA)
        with open(lab.file(f"{name}-site/big", b""), "r+b") as f:
            f.truncate(BIG_SIZE)  # sparse: costs nothing
        self.upload = lab.dir(f"{name}-site/upload", 0o777)

    def uploaded(self, name):
        with open(os.path.join(self.upload, name), "rb") as f:
            return f.read()


def certificate(lab):
    """A self-signed certificate with its key, in one PEM file, made once a lab."""
    path = os.path.join(lab.tmp, "tls.pem")
    if not os.path.exists(path):
        openssl, env = tool("openssl")
        conf = lab.file("openssl.cnf", "[req]\ndistinguished_name = dn\n[dn]\n")
        parts = [path + ".key", path + ".crt"]
        sh(
            openssl, "req", "-x509", "-config", conf, "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=pinhole.test",
            "-keyout", parts[0], "-out", parts[1], env=env,
        )  # fmt: skip
        with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as out:
            for part in parts:
                with open(part, "rb") as f:
                    out.write(f.read())
    return path


def _config(lab, name, lines):
    return lab.file(name, "".join(f"{line}\n" for line in lines))


def vsftpd(lab, ns, tls=False, port=21, **options):
    """Starts vsftpd on a port of both families; options override its configuration."""
    site = Site(lab, "vsftpd")
    settings = {
        "background": "NO",
        "listen": "NO",
        "listen_ipv6": "YES",
        "listen_port": port,
        "anonymous_enable": "YES",
        "local_enable": "NO",
        "no_anon_password": "YES",
        "ftp_username": USER,
        "nopriv_user": USER,
        "anon_root": site.root,
        "secure_chroot_dir": lab.dir("vsftpd-empty"),
        "write_enable": "YES",
        "anon_upload_enable": "YES",
        "anon_umask": "022",
        "pasv_min_port": PASSIVE_PORTS[0],
        "pasv_max_port": PASSIVE_PORTS[1],
        "connect_from_port_20": "YES",
        "accept_timeout": 6,
        "connect_timeout": 6,
        "max_clients": 0,
        # Each session would get a network namespace of its own, which is slow to make and to end.
        "isolate_network": "NO",
        "seccomp_sandbox": "NO",
        "xferlog_enable": "NO",
    }
    if tls:
        settings.update(
            ssl_enable="YES",
            allow_anon_ssl="YES",
            require_ssl_reuse="NO",
            ssl_ciphers="HIGH",
            rsa_cert_file=certificate(lab),
        )
    settings.update(options)
    conf = _config(lab, "vsftpd.conf", (f"{k}={v}" for k, v in settings.items()))
    path, env = tool("vsftpd")
    process = lab.serve(ns, [path, conf], "vsftpd", port, env=env)
    process.site = site
    return process


def proftpd(lab, ns, tls=False):
    """Starts proftpd on port 21 of both families."""
    site = Site(lab, "proftpd")
    path, env = tool("proftpd")
    modules = os.path.join(os.path.dirname(os.path.dirname(path)), "lib", "proftpd")
    run = lab.dir("proftpd-run")
    lines = [
        "ServerType standalone",
        "ServerName pinhole.test",
        "UseIPv6 on",
        "DefaultAddress 127.0.0.1",  # else that of the machine's name, if it has one
        "DefaultServer on",  # for every other address, too
        "Port 21",
        f"User {USER}",
        f"Group {GROUP}",
        "WtmpLog off",
        "UseReverseDNS off",
        "TransferLog none",
        "SystemLog none",
        "AuthOrder mod_auth_unix.c",
        "MaxInstances 300",
        "TimeoutNoTransfer 60",
        "TimeoutStalled 60",
        "AllowStoreRestart on",
        f"ScoreboardFile {run}/scoreboard",
        f"PidFile {run}/pid",
        f"PassivePorts {PASSIVE_PORTS[0]} {PASSIVE_PORTS[1]}",
        "<IfModule mod_delay.c>",
        "DelayEngine off",
        "</IfModule>",
        "<IfModule mod_ident.c>",
        "IdentLookups off",
        "</IfModule>",
        f"<Anonymous {site.root}>",
        f"User {USER}",
        f"Group {GROUP}",
        f"UserAlias anonymous {USER}",
        "RequireValidShell off",
        "</Anonymous>",
    ]
    # Debian 13 has made modules of what was built in.
    needed = [m for m in ("mod_ls", "mod_xfer") if os.path.exists(f"{modules}/{m}.so")] + ["mod_tls"] * tls
    lines[:0] = [f"ModulePath {modules}"] * bool(needed) + [f"LoadModule {m}.c" for m in needed]
    if tls:
        lines += [
            "TLSEngine on",
            "TLSRequired off",
            "TLSOptions NoSessionReuseRequired",
            f"TLSECCertificateFile {certificate(lab)}",
            f"TLSECCertificateKeyFile {certificate(lab)}",
        ]
    conf = _config(lab, "proftpd.conf", lines)
    process = lab.serve(ns, [path, "-n", "-c", conf], "proftpd", 21, env=env)
    process.site = site
    return process


ALL = {"vsftpd": vsftpd, "proftpd": proftpd}
