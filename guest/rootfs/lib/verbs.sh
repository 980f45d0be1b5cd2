# What the guest does when told, over ssh (`guest VERB …`) and over its control port: one line of answer each,
# `ok …` or `err …`. DISK is a serial or a name.
. /lib/disks.sh

obey() {
    verb=$1
    case $verb in
    ping) echo ok pong ;;
    disks) # NAME:SERIAL:BYTES for each
        line=ok
        for disk in /sys/block/[sv]d*; do
            [ -e "$disk" ] || continue
            serial_of "${disk##*/}"
            read -r sectors <"$disk/size"
            line="$line ${disk##*/}:$S:$((sectors * 512))"
        done
        echo "$line"
        ;;
    poweroff | reboot)
        echo ok
        sync
        umount -a -r 2>/dev/null
        $verb -f
        ;;
    write | read | fill | sum | size | ro)
        find_disk "$2" || { echo "err no disk $2"; return; }
        shift 2
        obey_disk "$@"
        ;;
    '') ;;
    *) echo "err unknown $verb" ;;
    esac
}

obey_disk() {
    device=/dev/$D
    case $verb in
    write) # TEXT…: into the first 4 KiB, on the disk when it answers
        printf '%s\n' "$*" | dd of=$device bs=4096 conv=sync,fsync,notrunc oflag=direct 2>/dev/null &&
            echo ok || echo err input/output
        ;;
    read) # the text
        text=$(dd if=$device bs=4096 count=1 iflag=direct 2>/dev/null) && echo "ok ${text%%
*}" || echo err input/output ;;
    fill) # MIB [AT_MIB]: random bytes, on the disk when it answers
        dd if=/dev/urandom of=$device bs=1M count=$1 seek=${2:-0} conv=fsync,notrunc 2>/dev/null &&
            echo ok || echo err input/output
        ;;
    sum) # MIB [AT_MIB]: sha256 of what is there
        sum=$(dd if=$device bs=1M count=$1 skip=${2:-0} iflag=direct 2>/dev/null | sha256sum) && echo "ok ${sum%% *}" ;;
    size) # bytes
        read -r sectors <"/sys/block/$D/size"
        echo ok $((sectors * 512))
        ;;
    ro) # 1 when read-only
        read -r ro <"/sys/block/$D/ro"
        echo "ok $ro"
        ;;
    esac
}
