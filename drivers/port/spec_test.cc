#include "drivers/port/spec.h"

#include <gtest/gtest.h>

namespace headgate::port {
namespace {

TEST(PortSpec, ReadsEveryKind) {
  struct Row {
    const char* text;
    PortKind kind;
    const char* device;
  };
  const Row rows[] = {
      {"front=af_xdp:eth0,queues=2", PortKind::af_xdp, "eth0"},
      {"front=af_packet:eth0", PortKind::af_packet, "eth0"},
      {"front=pci:0000:01:00.0,exception=front0", PortKind::pci, "0000:01:00.0"},
      {"probe=tap:hgprobe0", PortKind::tap, "hgprobe0"},
      {"a=memif:/run/x.sock,role=server", PortKind::memif, "/run/x.sock"},
      {"v=virtio_user:/dev/vhost-net", PortKind::virtio_user, "/dev/vhost-net"},
      {"x=pcap:in.pcap,out=out.pcap", PortKind::pcap, "in.pcap"},
      {"x=pcap:,out=out.pcap", PortKind::pcap, ""},
      {"n=null", PortKind::null, ""},
      {"r=ring", PortKind::ring, ""},
  };
  for (const Row& row : rows) {
    const auto spec = parse_port_spec(row.text);
    ASSERT_TRUE(spec) << row.text << ": " << spec.error().message;
    EXPECT_EQ(spec->kind, row.kind) << row.text;
    EXPECT_EQ(spec->device, row.device) << row.text;
  }
}

TEST(PortSpec, ReadsEveryKey) {
  const auto spec = parse_port_spec("f=af_xdp:e0,queues=4,mtu=3000,rx_desc=512,tx_desc=256,steer=all,zero_copy=off");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->name, "f");
  EXPECT_EQ(spec->queues, 4);
  EXPECT_EQ(spec->mtu, 3000);
  EXPECT_EQ(spec->rx_desc, 512);
  EXPECT_EQ(spec->tx_desc, 256);
  EXPECT_TRUE(spec->steer_all);
  EXPECT_EQ(spec->zero_copy, ZeroCopy::off);
}

TEST(PortSpec, SaysWhatIsWrongAndWhatIsAllowed) {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row rows[] = {
      {"", "port \"\": write NAME=KIND[:DEVICE][,key=value...], as in front=af_xdp:eth0"},
      {"=null", "port \"=null\": the name before = must be 1 to 15 letters, digits, dots, dashes or underscores"},
      {"a b=null", "port \"a b=null\": the name before = must be 1 to 15 letters, digits, dots, dashes or underscores"},
      {"f=xdp:eth0",
       "port \"f=xdp:eth0\": there is no kind \"xdp\"; use pci, af_xdp, af_packet, memif, tap, virtio_user, pcap, null "
       "or ring"},
      {"f=af_xdp",
       "port \"f=af_xdp\": af_xdp needs the name of a kernel interface of at most 15 characters, as in af_xdp:eth0"},
      {"f=af_xdp:interface_too_long",
       "port \"f=af_xdp:interface_too_long\": af_xdp needs the name of a kernel interface of at most 15 characters, as "
       "in "
       "af_xdp:eth0"},
      {"f=pci:01:00.0", "port \"f=pci:01:00.0\": pci needs an address like pci:0000:01:00.0 (see `lspci -D`)"},
      {"f=null:x", "port \"f=null:x\": null takes no device"},
      {"f=pcap", "port \"f=pcap\": pcap needs a file, as in pcap:/run/headgate/x"},
      {"f=null,queues=0", "port \"f=null,queues=0\": queues must be a number from 1 to 64"},
      {"f=null,queues=2x", "port \"f=null,queues=2x\": queues must be a number from 1 to 64"},
      {"f=null,mtu=9001", "port \"f=null,mtu=9001\": mtu must be a number from 576 to 9000"},
      {"f=null,queues=1,queues=2", "port \"f=null,queues=1,queues=2\": queues is given twice"},
      {"f=null,speed=1",
       "port \"f=null,speed=1\": \"speed=1\" is not key=value with a key that null takes: queues mtu rx_desc tx_desc"},
      {"f=tap:t0,role=server",
       "port \"f=tap:t0,role=server\": \"role=server\" is not key=value with a key that tap takes: queues mtu rx_desc "
       "tx_desc mac"},
      {"f=null,queues",
       "port \"f=null,queues\": \"queues\" is not key=value with a key that null takes: queues mtu rx_desc tx_desc"},
      {"f=memif:/x,role=boss", "port \"f=memif:/x,role=boss\": role must be server or client"},
      {"f=af_xdp:e,steer=some",
       "port \"f=af_xdp:e,steer=some\": steer must be set (addresses of the dataplane only) or all"},
      {"f=af_xdp:e,exception=x",
       "port \"f=af_xdp:e,exception=x\": exception goes with steer=all; otherwise the kernel has the interface itself"},
      {"f=tap:t,mac=1:2", "port \"f=tap:t,mac=1:2\": mac must be six hexadecimal bytes like 02:00:00:00:00:01"},
  };
  for (const Row& row : rows) {
    const auto spec = parse_port_spec(row.text);
    ASSERT_FALSE(spec) << row.text;
    EXPECT_EQ(spec.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(spec.error().message, row.message);
  }
}

}  // namespace
}  // namespace headgate::port
