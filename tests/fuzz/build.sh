# Sourced by the scripts here. Builds a fuzz program straight from its sources: a few files, a few seconds, no
# configure step and nothing of DPDK or gRPC.
set -euo pipefail
fuzz_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$fuzz_dir/../.." && pwd)
corpus=$fuzz_dir/corpus/packet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[[ -n $(ls -A "$corpus" 2>/dev/null) || ${0##*/} == make_corpus ]] || { echo "no kept corpus in $corpus: run tests/fuzz/make_corpus" >&2; exit 2; }

packet_sources=("$root"/dataplane/base/{ip,tuple}.cc
                "$root"/dataplane/packet/{packet_info,parse,summary,extension_headers,quoted,checksum,mss,build,build_neighbor,build_icmp}.cc)
http_sources=("$root"/dataplane/http/{scan,reason,fields,host,path,framing,request_parser,response_parser,chunked,head_writer,header_rules,forwarded,rewrite,route,cookie,error_page,access_log}.cc)

# build OUTPUT SOURCE... -- FLAGS...
build() {
  local output=$1; shift
  local sources=()
  while [[ $# -gt 0 && $1 != -- ]]; do sources+=("$1"); shift; done
  shift
  "${CXX:-clang++-19}" -std=c++20 -march=x86-64-v2 -O1 -g1 -fno-omit-frame-pointer -I"$root" "$@" \
    "${sources[@]}" "${packet_sources[@]}" -o "$output"
}
