#include "drivers/port/spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>

namespace headgate::port {
namespace {

enum class Device : std::uint8_t { none, interface, pci_address, path };

struct KindRow {
  std::string_view word;
  PortKind kind;
  Device device;
  std::string_view keys;  // beside queues, mtu, rx_desc, tx_desc, which every kind takes
};
constexpr std::array<KindRow, 9> kKinds{{
    {"pci", PortKind::pci, Device::pci_address, "exception"},
    {"af_xdp", PortKind::af_xdp, Device::interface, "steer zero_copy exception"},
    {"af_packet", PortKind::af_packet, Device::interface, "exception"},
    {"memif", PortKind::memif, Device::path, "role exception"},
    {"tap", PortKind::tap, Device::interface, "mac"},
    {"virtio_user", PortKind::virtio_user, Device::path, "mac"},
    {"pcap", PortKind::pcap, Device::path, "out"},
    {"null", PortKind::null, Device::none, ""},
    {"ring", PortKind::ring, Device::none, ""},
}};
constexpr std::string_view kCommonKeys = "queues mtu rx_desc tx_desc";
constexpr std::string_view kKindWords = "pci, af_xdp, af_packet, memif, tap, virtio_user, pcap, null or ring";

tl::unexpected<Error> bad(std::string_view text, const std::string& what) {
  return fail(ErrorCode::invalid_argument, "port \"" + std::string(text) + "\": " + what);
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t space = std::min(list.find(' '), list.size());
    if (list.substr(0, space) == word) return true;
    list.remove_prefix(std::min(space + 1, list.size()));
  }
  return false;
}

bool is_name(std::string_view name, std::size_t length_max) {
  return !name.empty() && name.size() <= length_max && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

// As the kernel takes it: 1 to 15 bytes, no slash, space or colon.
bool is_interface(std::string_view name) {
  return is_name(name, 15) && name != "." && name != "..";
}

bool is_pci_address(std::string_view text) {
  constexpr std::string_view shape = "hhhh:hh:hh.h";
  if (text.size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (shape[i] == 'h' ? !hex : c != shape[i]) return false;
  }
  return true;
}

bool is_mac(std::string_view text) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

std::optional<std::uint16_t> number(std::string_view text, std::uint16_t low, std::uint16_t high) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

std::optional<std::string> wrong_device(const KindRow& row, const PortSpec& spec) {
  const std::string kind(row.word);
  switch (row.device) {
    case Device::none:
      if (!spec.device.empty()) return kind + " takes no device";
      break;
    case Device::interface:
      if (!is_interface(spec.device))
        return kind + " needs the name of a kernel interface of at most 15 characters, as in " + kind + ":eth0";
      break;
    case Device::pci_address:
      if (!is_pci_address(spec.device)) return "pci needs an address like pci:0000:01:00.0 (see `lspci -D`)";
      break;
    case Device::path:
      if (spec.device.empty() && !(spec.kind == PortKind::pcap && !spec.pcap_out.empty()))
        return kind + " needs a file, as in " + kind + ":/run/headgate/x";
      break;
  }
  return std::nullopt;
}

// Nothing, or what is wrong with the value.
std::optional<std::string> set_key(PortSpec& spec, std::string_view key, std::string_view value) {
  const auto set_number = [&](std::uint16_t& field, std::uint16_t low,
                              std::uint16_t high) -> std::optional<std::string> {
    const auto parsed = number(value, low, high);
    if (!parsed)
      return std::string(key) + " must be a number from " + std::to_string(low) + " to " + std::to_string(high);
    field = *parsed;
    return std::nullopt;
  };
  if (key == "queues") return set_number(spec.queues, 1, kQueuesMax);
  if (key == "mtu") return set_number(spec.mtu, kMtuMin, kMtuMax);
  if (key == "rx_desc") return set_number(spec.rx_desc, 64, kDescriptorsMax);
  if (key == "tx_desc") return set_number(spec.tx_desc, 64, kDescriptorsMax);
  if (key == "exception") {
    if (!is_interface(value)) return "exception must be a kernel interface name of at most 15 characters";
    spec.exception = value;
  } else if (key == "steer") {
    if (value != "all" && value != "set") return "steer must be set (addresses of the dataplane only) or all";
    spec.steer_all = value == "all";
  } else if (key == "zero_copy") {
    if (value != "auto" && value != "on" && value != "off") return "zero_copy must be auto, on or off";
    spec.zero_copy = value == "on" ? ZeroCopy::on : value == "off" ? ZeroCopy::off : ZeroCopy::automatic;
  } else if (key == "role") {
    if (value != "server" && value != "client") return "role must be server or client";
    spec.memif_server = value == "server";
  } else if (key == "out") {
    if (value.empty()) return "out must name the capture file to write";
    spec.pcap_out = value;
  } else if (key == "mac") {
    if (!is_mac(value)) return "mac must be six hexadecimal bytes like 02:00:00:00:00:01";
    spec.mac = value;
  }
  return std::nullopt;
}

}  // namespace

const char* to_string(PortKind kind) {
  return kKinds[static_cast<std::size_t>(kind)].word.data();
}

Result<PortSpec> parse_port_spec(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return bad(text, "write NAME=KIND[:DEVICE][,key=value...], as in front=af_xdp:eth0");
  PortSpec spec;
  spec.name = text.substr(0, equals);
  if (!is_name(spec.name, 15)) {
    return bad(text, "the name before = must be 1 to 15 letters, digits, dots, dashes or underscores");
  }
  std::string_view rest = text.substr(equals + 1);
  const auto next_item = [&rest] {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    return item;
  };
  const std::string_view head = next_item();
  const std::size_t colon = std::min(head.find(':'), head.size());
  const std::string_view kind_word = head.substr(0, colon);
  const auto row = std::ranges::find(kKinds, kind_word, &KindRow::word);
  if (row == kKinds.end())
    return bad(text, "there is no kind \"" + std::string(kind_word) + "\"; use " + std::string(kKindWords));
  spec.kind = row->kind;
  spec.device = head.substr(std::min(colon + 1, head.size()));

  std::string seen;
  while (!rest.empty()) {
    const std::string_view item = next_item();
    const std::size_t split = item.find('=');
    const std::string key(item.substr(0, std::min(split, item.size())));
    if (split == std::string_view::npos || (!has_word(kCommonKeys, key) && !has_word(row->keys, key))) {
      const std::string extra = row->keys.empty() ? "" : " " + std::string(row->keys);
      return bad(text, "\"" + std::string(item) + "\" is not key=value with a key that " + std::string(row->word) +
                           " takes: " + std::string(kCommonKeys) + extra);
    }
    if (has_word(seen, key)) return bad(text, key + " is given twice");
    seen += key + " ";
    if (const auto wrong = set_key(spec, key, item.substr(split + 1))) return bad(text, *wrong);
  }
  if (const auto wrong = wrong_device(*row, spec)) return bad(text, *wrong);
  if (spec.kind == PortKind::af_xdp && !spec.exception.empty() && !spec.steer_all) {
    return bad(text, "exception goes with steer=all; otherwise the kernel has the interface itself");
  }
  return spec;
}

}  // namespace headgate::port
