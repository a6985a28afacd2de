#!/bin/sh
# Two hosts on one machine: network namespaces NAMEa and NAMEb, each on a cable (veth) to a bridge with the address
# 10.77.NET.1, where the servers are. Needs root and iproute2.
#   two_hosts.sh up NAME NET        two_hosts.sh down NAME        two_hosts.sh cut|mend NAME a|b
set -eu
what=$1 name=$2
case $what in
up)
    net=10.77.$3
    ip link add "$name" type bridge
    ip addr add "$net.1/24" dev "$name"
    ip link set "$name" up
    number=11
    for host in a b; do
        ip netns add "$name$host"
        ip link add "$name-$host" type veth peer name eth0 netns "$name$host"
        ip link set "$name-$host" master "$name" up
        ip -n "$name$host" addr add "$net.$number/24" dev eth0
        ip -n "$name$host" link set eth0 up
        ip -n "$name$host" link set lo up
        number=$((number + 1))
    done
    ;;
down)
    for host in a b; do
        ip netns del "$name$host" 2>/dev/null || true
        ip link del "$name-$host" 2>/dev/null || true
    done
    ip link del "$name" 2>/dev/null || true
    ;;
cut) ip link set "$name-$3" down ;;
mend) ip link set "$name-$3" up ;;
esac
