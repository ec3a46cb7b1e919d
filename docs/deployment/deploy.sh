#!/bin/sh
# sh deploy.sh VERSION: have the instances run the program that lies in /srv/notes now, one after
# the other. If the first does not come up with that version, the other one stays as it is.
set -eu
for port in 8001 8002; do
    systemctl reload "notes@$port"
    tries=60
    until [ "$(curl -fsm 5 "http://127.0.0.1:$port/health")" = "$1" ]; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            echo "notes@$port does not serve version $1" >&2
            exit 1
        fi
        sleep 0.5
    done
done
