#!/bin/bash
# A SLURM of one node on this machine, on loopback only, to try `stampseg study --slurm` and to test it.
#
#   apt-get install --no-install-recommends slurmctld slurmd slurm-client munge    (Debian, Ubuntu)
#   studies/slurm_one_node.sh start FOLDER [MINUTES]     as root; MINUTES: longest time of a job
#   export SLURM_CONF=FOLDER/slurm.conf
#   stampseg study CONFIG -o DIR --slurm all
#   studies/slurm_one_node.sh stop FOLDER
set -eu

work=${1:-} folder=$(realpath -m "${2:?start or stop, then a folder}") minutes=${3:-UNLIMITED}

stop() {
    for name in slurmd slurmctld munged; do
        [ -f "$folder/$name.pid" ] && kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
    done
}

start() {
    mkdir -p "$folder"/{state,spool,munge,log}
    chmod 755 "$folder"
    chmod 700 "$folder/munge"
    [ -f "$folder/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
    cat >"$folder/slurm.conf" <<EOF
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=10
KillWait=30
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=$minutes State=UP
EOF
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munged.pid" --log-file="$folder/log/munged" --seed-file="$folder/munge/seed"
    export SLURM_CONF=$folder/slurm.conf
    slurmctld
    slurmd
    for _ in $(seq 30); do
        sinfo --noheader --format=%T 2>/dev/null | grep -qE 'idle|mixed|allocated' && break
        sleep 1
    done
    sinfo
    echo "export SLURM_CONF=$SLURM_CONF"
}

case $work in
start) start ;;
stop) stop ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
