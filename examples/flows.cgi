#!/bin/sh
# POST a request of `edgegen pipe`, and its answer comes back; for busybox httpd, uhttpd and other servers with CGI.
{ head -c "${CONTENT_LENGTH:-0}" | tr '\r\n' '  '; echo; } | edgegen pipe --most-flows 100000 | {
    IFS= read -r first
    case $first in
    '') printf 'Status: 500 Internal Server Error\r\n' ;;
    '{"error"'*) printf 'Status: 422 Unprocessable Content\r\n' ;;
    esac
    printf 'Content-Type: application/x-ndjson\r\n\r\n%s\n' "$first"
    exec cat
}
