"""A server that speaks S3 (moto) and makes objects only if absent as S3 does: one request at a time.

Served by threads, as moto does it by itself, two requests may both find an object absent and both make it.

    python3 tests/support/s3_server.py PORT
"""

from __future__ import annotations

import sys
from typing import Any


def bucket_server(port: int = 0) -> Any:
    """A server on loopback; `serve_forever` serves, `server_port` is its port. Raises ImportError without moto."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):  # type: ignore[misc]
        def log(self, *_: Any) -> None:
            pass

    app = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", port, app, threaded=False, request_handler=Quiet)


if __name__ == "__main__":
    bucket_server(int(sys.argv[1])).serve_forever()
