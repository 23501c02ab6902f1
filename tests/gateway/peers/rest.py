"""Discovery by polling: what is in a file for each type, and 304 while that is what they have.

rest.py PORT FOLDER: answers POST /v3/discovery:TYPE with FOLDER/TYPE.json, a DiscoveryResponse, and
keeps what it was asked in FOLDER/asked.
"""
import http.server
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = self.path.removeprefix("/v3/discovery:")
        with open(folder / "asked", "a") as log:
            names = ",".join(asked.get("resource_names", asked.get("resourceNames", [])))
            version = asked.get("version_info", asked.get("versionInfo", ""))
            log.write(f"{kind} [{names}] {version} {asked['node']['id']}\n")
        file = folder / f"{kind}.json"
        body = file.read_bytes() if file.exists() else b""
        status = 404
        if body:
            status = 304 if json.loads(body)["version_info"] == version else 200
        body = body if status == 200 else b""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
