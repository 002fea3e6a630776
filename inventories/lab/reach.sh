#!/bin/bash
# A ProxyCommand: reach HOST:PORT through the first of the jump hosts that answers, each asked for at most a second.
#   reach.sh KEY USER HOST PORT JUMP...
# Asked first, then connected: an ssh that waits for a dead jump host would eat the time of the live one behind it.
key=$1 user=$2 host=$3 port=$4
shift 4
for jump in "$@"; do
    if timeout 1 bash -c "exec 3<>/dev/tcp/$jump/22" 2>/dev/null; then
        exec ssh -q -i "$key" -l "$user" -o BatchMode=yes -o UserKnownHostsFile=/etc/ssh/ssh_known_hosts \
            -o GSSAPIAuthentication=no -o ConnectTimeout=3 -o ServerAliveInterval=2 -o ServerAliveCountMax=3 \
            -W "[$host]:$port" "$jump"
    fi
done
echo "no way to $host: none of $* answers on port 22" >&2
exit 255
