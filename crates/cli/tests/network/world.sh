# An internet of two machines: this one, and one with the addresses that the tests' names lead to. Run in network and
# mount namespaces of its own, with the directory that holds `server.py` and then a command. Ends with 77 if it can't be.
set -u
dir=$1
shift
cannot() { echo "$1" >&2; exit 77; }
ip link set lo up || cannot "no loopback"
unshare -n sleep 300 > /dev/null 2>&1 &
other=$!
trap 'kill $other $server 2>/dev/null' EXIT
server=
tries=0
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do
  tries=$((tries + 1)); [ $tries -lt 200 ] || cannot "no second network"
  sleep 0.02
done
there() { nsenter -t $other -n "$@"; }
ip link add here0 type veth peer name there0 2>"$dir/veth" || cannot "no pair of interfaces: $(cat "$dir/veth")"
ip link set there0 netns $other
ip addr add 93.184.216.33/24 dev here0 && ip link set here0 up && ip route add default via 93.184.216.34 || cannot "no addresses"
there ip link set lo up
there ip addr add 93.184.216.34/24 dev there0
there ip addr add 10.0.0.5/32 dev there0
there ip link set there0 up
nsenter -t $other -n python3 "$dir/server.py" "$dir" > "$dir/log" 2>&1 &
server=$!
tries=0
while [ ! -e "$dir/ready" ]; do
  tries=$((tries + 1)); [ $tries -lt 500 ] || cannot "the servers don't start"
  sleep 0.02
done
if [ -e "$dir/server.mjs" ]; then
  nsenter -t $other -n node "$dir/server.mjs" "$dir" > "$dir/log2" 2>&1 &
  server="$server $!"
  tries=0
  while [ ! -e "$dir/ready2" ]; do
    tries=$((tries + 1)); [ $tries -lt 500 ] || cannot "the HTTP/2 server doesn't start"
    sleep 0.02
  done
fi
printf 'nameserver 93.184.216.34\noptions timeout:2 attempts:1\n' > "$dir/resolv.conf"
mount --bind "$dir/resolv.conf" /etc/resolv.conf || cannot "no name server of our own"
"$@"
