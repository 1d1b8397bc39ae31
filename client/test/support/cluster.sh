#!/usr/bin/env bash
# A MariaDB, a Redis and two nodes of pregon for a test: prints the fixture's file and the nodes' ports, kills node 1 at the line
# "kill", and ends everything when its input ends.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. loadtest/cluster/services

start_redis
start_mariadb
export PREGON_ALLOWED_ORIGINS='*'
set_up_nodes
"$PREGON" seed --users 4 --rooms 3 --members 4 --out "$folder/fixture.json" >"$folder/seed.log"
ports=()
for node in 1 2; do
  port=$(free_port)
  ports+=("$port")
  start_node "$node" "$port"
  wait_for "node-$node" "$port"
done
wait_for_peers "${ports[0]}" 1
echo "$folder/fixture.json ${ports[*]}"
while read -r line; do
  [ "$line" = kill ] && kill -9 "${running[node-1]}"
done
