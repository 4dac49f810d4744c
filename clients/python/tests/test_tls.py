"""TLS and mutual TLS: to a tier behind a proxy that ends TLS, as an ingress does."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from servers import API_KEY

from platepal_realtime import Client, ConfigurationError, Tls, Unavailable

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, and certificates of it for the server `realtime.test` and for a client."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    for name in ("server", "client"):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text("subjectAltName=DNS:realtime.test\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")  # fmt: skip
    return folder


@pytest.fixture
def ingress(tier, certificates):
    """Ends TLS and passes bytes on to the tier; with `mutual`, only for clients of the authority. Gives its target."""
    listeners = []

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                end.close()

    def serve(listener, context):
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                outside = context.wrap_socket(plain, server_side=True)
            except OSError:
                continue
            inside = socket.create_connection(("127.0.0.1", tier.grpc))
            for pair in ((outside, inside), (inside, outside)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    def start(mutual=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        context.set_alpn_protocols(["h2"])
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates / "ca.pem")
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, context), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def client(target, **tls):
    return Client(target=target, api_key=API_KEY, timeout=5, tls=Tls(server_name="realtime.test", **tls))


def test_a_certificate_of_a_trusted_authority_is_accepted_and_another_is_not(tier, ingress, certificates, fresh):
    channel = f"customer:{fresh()}"
    target = ingress()
    with client(target, ca=certificates / "ca.pem") as trusting:
        trusting.publish("menu.updated", {"n": 1}, channel)
    with Client(target=target, api_key=API_KEY, timeout=2, tls=Tls(server_name="realtime.test")) as strict, pytest.raises(Unavailable):
        strict.publish("menu.updated", {"n": 2}, channel)
    assert tier.payloads(channel) == [{"n": 1}]


def test_mutual_tls_takes_our_certificate(tier, ingress, certificates, fresh):
    channel, target = f"customer:{fresh()}", ingress(mutual=True)
    ours = {"certificate": certificates / "client.pem", "key": (certificates / "client.key").read_bytes()}
    with client(target, ca=certificates / "ca.pem", **ours) as known:
        known.publish("menu.updated", {"n": 1}, channel)
    with client(target, ca=certificates / "ca.pem") as unknown, pytest.raises(Unavailable):
        unknown.publish("menu.updated", {"n": 2}, channel, timeout=2)
    assert tier.payloads(channel) == [{"n": 1}]


def test_half_of_a_certificate_and_files_that_are_not_there_are_named(certificates):
    with pytest.raises(ConfigurationError, match="belong together"):
        Client(target="realtime:50051", tls=Tls(certificate=certificates / "client.pem"))
    with pytest.raises(ConfigurationError, match=r"there is no file nowhere\.pem"):
        Client(target="realtime:50051", tls=Tls(ca="nowhere.pem"))
