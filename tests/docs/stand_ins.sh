# What stands in for programs in the lines of the documentation.
# Nothing is installed: what the line names is in the environment of the tests.

apt() { :; }

pip() { :; }

python() {
    case "$1 $2" in
        "-m pip" | "-m venv") ;;
        *) "$PYTHON" "$@" ;;
    esac
}

python3() { python "$@"; }

# The command in the container, without the container.
docker() {
    while [ "$1" != IMAGE ]; do shift; done
    shift
    "$@"
}

# The one that the fixture has started; root is not needed for it.
nginx() { command nginx -p . -c main.conf -e nginx.log "$@"; }

sudo() {
    case "$1" in
        apt | nginx) "$@" ;;
        *) echo "$1 is not for the tests to run as root" && return 1 ;;
    esac
}
