# Disks by the serials that their host gave them.

serial_of() { # sets S to the serial of the disk NAME, or to -
    S=
    if [ -e "/sys/block/$1/serial" ]; then # virtio-blk
        read -r S <"/sys/block/$1/serial"
    elif [ -e "/sys/block/$1/device/vpd_pg80" ]; then # scsi: four bytes before it
        S=$(tail -c +5 "/sys/block/$1/device/vpd_pg80" | tr -d '\0 ')
    fi
    [ -n "$S" ] || S=-
}

find_disk() { # sets D to the name of the disk with this NAME or SERIAL
    D=$1
    case $1 in */* | '') return 1 ;; esac
    [ ! -d "/sys/block/$1" ] || return 0
    for D in /sys/block/[sv]d*; do
        D=${D##*/}
        serial_of "$D"
        [ "$S" != "$1" ] || return 0
    done
    return 1
}
