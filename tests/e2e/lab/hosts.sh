#!/bin/bash
# hosts.sh up N | down : N hosts of our own on this machine, for tests of `ray up`.
# Each host h<i> has its own network, process, mount, name and IPC namespaces, an overlay root and an
# sshd; LAB/shared is one folder on all of them; an operator namespace holds the bridge. Needs root
# and Debian's iproute2, openssh-server, rsync, tini and util-linux. LAB is a scratch folder. Own process namespaces matter: `ray stop` on a
# host ends every Ray process that it can see.
set -e
: "${LAB:?set LAB to a scratch folder}"
NET=10.200.78
OP=tl-op
case $1 in
up)
  N=$2
  mkdir -p "$LAB/shared" /run/sshd
  [ -f "$LAB/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$LAB/id"
  ip netns add $OP
  ip -n $OP link set lo up
  ip -n $OP link add br0 type bridge
  ip -n $OP addr add $NET.1/24 dev br0
  ip -n $OP link set br0 up
  for i in $(seq "$N"); do
    h=tl-h$i
    ip netns add "$h"
    ip -n "$h" link set lo up
    ip link add name "tlv$i" netns $OP type veth peer name eth0 netns "$h"
    ip -n $OP link set "tlv$i" master br0
    ip -n $OP link set "tlv$i" up
    ip -n "$h" addr add $NET.1"$i"/24 dev eth0
    ip -n "$h" link set eth0 up
    ip -n "$h" route add default via $NET.1
    mkdir -p "$LAB/h$i"
    cat > "$LAB/h$i.sh" <<X
set -e
mount --make-rprivate /
mount -t tmpfs -o size=6g tmpfs $LAB/h$i
mkdir -p $LAB/h$i/up $LAB/h$i/work $LAB/h$i/root
mount -t overlay overlay -o lowerdir=/,upperdir=$LAB/h$i/up,workdir=$LAB/h$i/work $LAB/h$i/root
R=$LAB/h$i/root
mount -t proc proc \$R/proc
mount --rbind /sys \$R/sys
mount --rbind /dev \$R/dev
mount -t tmpfs -o size=4g tmpfs \$R/dev/shm
mkdir -p \$R/run/sshd \$R/root/.ssh \$R$LAB/shared
mount --bind $LAB/shared \$R$LAB/shared
rm -rf \$R/tmp/ray \$R/root/ray_bootstrap* \$R/root/.ray
chmod 700 \$R/root/.ssh
cat $LAB/id.pub > \$R/root/.ssh/authorized_keys
chmod 600 \$R/root/.ssh/authorized_keys
hostname h$i
printf '127.0.0.1 localhost\n$NET.1$i h$i\n' > \$R/etc/hosts
exec chroot \$R /usr/bin/tini -- /usr/sbin/sshd -D -e -o PermitRootLogin=yes -o UsePAM=no \
  -o ListenAddress=$NET.1$i -o MaxSessions=50 -o MaxStartups=50
X
    setsid ip netns exec "$h" unshare --pid --fork --mount --uts --ipc --kill-child \
      bash "$LAB/h$i.sh" > "$LAB/h$i.log" 2>&1 &
    echo $! > "$LAB/h$i.pid"
  done
  for i in $(seq "$N"); do
    for _ in $(seq 100); do
      ip netns exec $OP bash -c "echo > /dev/tcp/$NET.1$i/22" 2>/dev/null && break
      sleep .1
    done
  done
  ;;
down)
  for p in "$LAB"/h*.pid; do
    # One that has ended already must not keep the others.
    [ -f "$p" ] && kill -9 -- "-$(cat "$p")" 2>/dev/null || true
    rm -f "$p"
  done
  sleep 1
  for n in $(ip netns list | awk '/^tl-/{print $1}'); do ip netns del "$n"; done
  ;;
esac
