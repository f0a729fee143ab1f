"""TLS for programs that have none, and certificates from an authority of the case's own."""

import select
import socket
import ssl
import subprocess
import threading

from process import check


class Papers:
    """An authority, and what it issues. All lies in one folder."""

    def __init__(self, directory):
        self.directory = directory / "papers"
        self.directory.mkdir()
        self.authority = self.directory / "authority.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                      "-subj", "/CN=authority", "-keyout", "authority.key", "-out", self.authority)

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.directory, capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"openssl {words[0]}: {done.stderr}")

    def issue(self, name, *addresses):
        """A certificate and its key for a domain name and addresses: the paths of both."""
        names = [f"DNS:{name}", *(f"IP:{address}" for address in addresses)]
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                      "-subj", f"/CN={name}", "-addext", f"subjectAltName={','.join(names)}",
                      "-addext", "basicConstraints=critical,CA:FALSE",
                      "-CA", self.authority, "-CAkey", "authority.key", "-keyout", key, "-out", certificate)
        return certificate, key

    def listener(self, address, *, asks=False):
        """A [[listen]] of Tollgate at an address, which may ask for certificates."""
        certificate, key = self.directory / "tollgate.invalid.pem", self.directory / "tollgate.invalid.key"
        asked = f'client_ca = "{self.authority}"\n' if asks else ""
        return f'[[listen]]\naddress = "tls:{address}"\ncertificate = "{certificate}"\nkey = "{key}"\n{asked}'

    def towards(self, name):
        """What a rule says of a peer that is reached over TLS."""
        return f'tls_name = "{name}"\nca = "{self.authority}"'

    def context(self, name, *, server):
        """What one end shows and trusts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        context.load_verify_locations(self.authority)
        return context


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class Pipe:
    """Takes connections at one address and passes them on to another, with TLS on one of the two ends.

    Tollgate is to see the address at which the plain end listens as `inside`, not where that is: what the plain end
    says of itself is put right on the way, and is as long as before.
    """

    def __init__(self, lab, papers, name, here, there, *, from_tollgate):
        self.here, self.there, self.from_tollgate = here, there, from_tollgate
        self.context = papers.context(name, server=from_tollgate)
        self.listener = socket.create_server(here, family=family(here[0]), backlog=64)
        self.open = True
        lab.pipes.append(self)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        try:
            with near:
                far = socket.create_connection(self.there, 5, (self.here[0], 0))
                with far:
                    if self.from_tollgate:
                        with self.context.wrap_socket(near, server_side=True) as tls:
                            self._pass_on(tls, far)
                    else:
                        with self.context.wrap_socket(far, server_hostname="tollgate.invalid") as tls:
                            self._pass_on(tls, near)
        except (OSError, ValueError):
            pass

    def _pass_on(self, tls, plain):
        old, new = f":{self.there[1]}".encode(), f":{self.here[1]}".encode()
        while self.open:
            ready = [tls] if tls.pending() else select.select([tls, plain], [], [], 0.5)[0]
            for source in ready:
                source.setblocking(False)
                try:
                    data = source.recv(65536)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                if not data:
                    return
                if source is plain and self.from_tollgate:
                    data = data.replace(old, new)
                target = plain if source is tls else tls
                target.settimeout(10)
                target.sendall(data)

    def end(self):
        """Closes it."""
        self.open = False
        # Whoever waits in `accept` is woken.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
