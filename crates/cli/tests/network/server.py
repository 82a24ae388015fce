"""The other machine: names, web pages with and without TLS, an echo, and a list of what it was asked."""

import base64
import hashlib
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time

DIR = sys.argv[1]
HOST, PRIVATE = "93.184.216.34", "10.0.0.5"
asked = open(os.path.join(DIR, "asked"), "a", buffering=1)
counts = {}

# What names lead to; a list of lists changes with every query.
V4 = {
    "allowed.test": [[HOST]],
    "other.test": [[HOST]],
    "denied.test": [[HOST]],
    "private.test": [[PRIVATE]],
    "mixed.test": [[HOST, PRIVATE]],
    "rebind.test": [[HOST], [PRIVATE]],
    "metadata.test": [["169.254.169.254"]],
    "slow.test": [[HOST]],
}
V6 = {
    "mapped.test": "::ffff:10.0.0.5",
    "nat64.test": "64:ff9b::a00:5",
    "loop6.test": "::1",
}
ALIAS = {"alias.test": "private.test"}


def answer(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += query[at] + 1
    name = ".".join(labels).lower()
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    question = query[12 : at + 5]
    print(name, kind, file=asked)
    if name == "silent.test":
        return None
    if name == "slow.test":
        time.sleep(1)
    if name == "broken.test":
        return query[:2] + b"\x81\x82" + query[4:6] + b"\0\0\0\0\0\0" + question
    records, owner = [], b"\xc0\x0c"
    real = ALIAS.get(name, name)
    if real != name:
        target = b"".join(bytes([len(part)]) + part.encode() for part in real.split(".")) + b"\0"
        records.append(owner + struct.pack("!HHIH", 5, 1, 1, len(target)) + target)
        owner = target
    if kind == 1 and real in V4:
        lists = V4[real]
        turn = counts.get(real, 0)
        counts[real] = turn + 1
        for address in lists[min(turn, len(lists) - 1)]:
            records.append(owner + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address))
    if kind == 28 and real in V6:
        records.append(owner + struct.pack("!HHIH", 28, 1, 0, 16) + socket.inet_pton(socket.AF_INET6, V6[real]))
    code = 0 if real in V4 or real in V6 else 3
    flags = struct.pack("!H", 0x8180 | code)
    return query[:2] + flags + b"\0\1" + struct.pack("!H", len(records)) + b"\0\0\0\0" + question + b"".join(records)


def names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((HOST, 53))
    while True:
        query, client = server.recvfrom(4096)
        threading.Thread(target=reply, args=(server, query, client), daemon=True).start()


def reply(server, query, client):
    text = answer(query)
    if text:
        server.sendto(text, client)


# An engine of Docker's and a registry, as far as its command asks them.
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IMAGE = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
DIGEST = "sha256:" + hashlib.sha256(IMAGE.encode()).hexdigest()
CONFIG = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(IMAGE), "digest": DIGEST}
DOCKER = {
    "/_ping": "OK",
    "/v1/version": json.dumps({"Version": "7 of a stand-in", "ApiVersion": "1.43", "MinAPIVersion": "1.24"}),
    "/v2/": "{}",
    "/v2/thing/manifests/1": json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": CONFIG, "layers": []}),
    "/v2/thing/blobs/" + DIGEST: IMAGE,
}


class Pages(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=os.path.join(DIR, "pages"))

    def log_message(self, *args):
        print("reached", file=asked)

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.socket()
        if self.path.startswith("/who"):
            return self.say(self.headers.get("Authorization", "nobody"))
        if self.path.startswith("/to?"):
            return self.redirect(self.path[4:])
        if self.path.startswith("/endless"):
            return self.endless()
        if text := DOCKER.get(re.sub(r"^/v1\.\d+/", "/v1/", self.path)):
            return self.say(text, {"Content-Type": MANIFEST, "Api-Version": "1.43"})
        super().do_GET()

    def socket(self):
        """A WebSocket (RFC 6455) that sends every message back."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            opcode, length = head[0] & 15, head[1] & 127
            if length > 125:
                length = int.from_bytes(self.rfile.read(2 if length == 126 else 8), "big")
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length)))
            size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2, "big")
            self.wfile.write(bytes([128 | (10 if opcode == 9 else opcode)]) + size + data)
            if opcode == 8:
                return

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def endless(self):
        """An answer that says it is long, and goes on until somebody stops it."""
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * (1 << 16))
        except OSError:
            print("stopped", file=asked)

    def do_PUT(self):
        length = int(self.headers["Content-Length"])
        body, left = 0, length
        while left:
            part = self.rfile.read(min(left, 1 << 16))
            body += sum(part)
            left -= len(part)
        self.say(str(body))

    def do_HEAD(self):
        if self.path == "/_ping":
            return self.say("", {"Api-Version": "1.43"})
        super().do_HEAD()

    def say(self, text, more={}):
        text = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        print("reached", file=asked)
        while part := self.request.recv(1 << 16):
            self.request.sendall(part)
        self.request.shutdown(socket.SHUT_WR)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


def start(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()


threading.Thread(target=names, daemon=True).start()
for host in (HOST, PRIVATE):
    web = http.server.ThreadingHTTPServer((host, 80), Pages)
    web.daemon_threads = True
    start(web)
start(Server((HOST, 7000), Echo))


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], capture_output=True, cwd=DIR).returncode == 0


def certificates():
    """An authority, whose certificate is the one to trust, and a certificate for the names here."""
    new = ["-newkey", "rsa:2048", "-nodes"]
    with open(os.path.join(DIR, "names"), "w") as names:
        names.write("subjectAltName=DNS:allowed.test,DNS:other.test")
    return (
        openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=authority", "-keyout", "authority.pem", "-out", "cert.pem")
        and openssl("req", *new, "-subj", "/CN=allowed.test", "-keyout", "key.pem", "-out", "request.pem")
        and openssl(
            *["x509", "-req", "-in", "request.pem", "-CA", "cert.pem", "-CAkey", "authority.pem", "-CAcreateserial"],
            *["-days", "2", "-extfile", "names", "-out", "leaf.pem"],
        )
    )


if certificates():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{DIR}/leaf.pem", f"{DIR}/key.pem")
    secure = http.server.ThreadingHTTPServer((HOST, 443), Pages)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    secure.daemon_threads = True
    start(secure)
open(os.path.join(DIR, "ready"), "w").close()
threading.Event().wait()
