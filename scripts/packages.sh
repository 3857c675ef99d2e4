# Debian packages that the scripts need, and how they are installed. Sourced, not run.
#
# Nothing is asked of the network when everything is already there.

build_packages=(g++ cmake ninja-build pkg-config libhwy-dev nlohmann-json3-dev libcli11-dev
  libfmt-dev zlib1g-dev)
quickstart_packages=(python3 python3-numpy python3-pil dataset-fashion-mnist)
test_packages=(libgtest-dev python3 python3-dev python3-venv)
fuzz_packages=(python3 clang libclang-rt-14-dev)
check_packages=(git python3 clang clang-format-14 chromium)

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages PACKAGE...
install_packages() {
  local package missing=() become_root=()
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if ! command -v apt-get >/dev/null; then
    echo "This machine has no apt-get. Install by hand what answers to: ${missing[*]}" >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "Run as root: apt-get install ${missing[*]}" >&2
      return 1
    fi
    become_root=(sudo)
  fi
  echo "Installing ${missing[*]}"
  "${become_root[@]}" apt-get update -qq
  "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

# Configures and builds: build_tree FOLDER [CMAKE_OPTION...]
build_tree() {
  local folder=$1
  shift
  local generator=()
  [ -e "$folder/CMakeCache.txt" ] || generator=(-G Ninja)
  mkdir -p "$folder"
  cmake -S . -B "$folder" "${generator[@]}" "$@" >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log" >&2; return 1; }
  cmake --build "$folder"
}
