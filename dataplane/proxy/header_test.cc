#include "dataplane/proxy/header.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/packet/testing.h"

namespace headgate::proxy {
namespace {

using packet::testing::ip;
using snapshot::ProxyHeader;

std::string written(ProxyHeader version, const Tuple& from) {
  HeaderBytes bytes;
  const std::size_t length = write_header(bytes, version, from);
  return {reinterpret_cast<const char*>(bytes.data()), length};
}

const Tuple kV4{ip("192.0.2.10"), ip("192.0.2.100"), 40000, 80, kProtocolTcp};
const Tuple kV6{ip("2001:db8:1::10"), ip("2001:db8:1::100"), 40000, 80, kProtocolTcp};

TEST(ProxyHeader, Version1IsOneLineOfText) {
  EXPECT_EQ(written(ProxyHeader::v1, kV4), "PROXY TCP4 192.0.2.10 192.0.2.100 40000 80\r\n");
  EXPECT_EQ(written(ProxyHeader::v1, kV6), "PROXY TCP6 2001:db8:1::10 2001:db8:1::100 40000 80\r\n");
  const IpAddress longest = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_LT(written(ProxyHeader::v1, {longest, longest, 65535, 65535, kProtocolTcp}).size(), kHeaderV1Max);
}

TEST(ProxyHeader, Version2IsBinary) {
  EXPECT_EQ(written(ProxyHeader::v2, kV4),
            std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\xc0\0\x02\x64\x9c\x40\0\x50", 28));
  EXPECT_EQ(written(ProxyHeader::v2, kV6).size(), 16u + 36u);
  EXPECT_EQ(written(ProxyHeader::v2, kV6).substr(12, 4), std::string("\x21\x21\0\x24", 4));
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

TEST(ProxyHeader, WhatWeWriteIsReadAtEveryCut) {
  for (const ProxyHeader version : {ProxyHeader::v1, ProxyHeader::v2}) {
    for (const Tuple& from : {kV4, kV6}) {
      const std::string whole = written(version, from);
      for (std::size_t cut = 0; cut < whole.size(); ++cut)
        EXPECT_EQ(parse_header(bytes_of(whole.substr(0, cut))).verdict, HeaderVerdict::need_more) << cut;
      const ParsedHeader parsed = parse_header(bytes_of(whole + "GET /"));
      EXPECT_EQ(parsed.verdict, HeaderVerdict::complete);
      EXPECT_EQ(parsed.length, whole.size());
      EXPECT_EQ(parsed.from, from);
    }
  }
}

TEST(ProxyHeader, OfNobodyInParticular) {
  for (const std::string& text :
       {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"),
        kSignature + std::string("\x20\x00\0\0", 4), kSignature + std::string("\x21\x00\0\0", 4),
        kSignature + std::string("\x21\x12\0\x0c", 4) + std::string(12, 'x'),
        kSignature + std::string("\x20\x11\0\x03xyz", 7)}) {
    const ParsedHeader parsed = parse_header(bytes_of(text));
    EXPECT_EQ(parsed.verdict, HeaderVerdict::complete) << text;
    EXPECT_EQ(parsed.length, text.size());
    EXPECT_FALSE(parsed.from);
  }
}

TEST(ProxyHeader, AnythingElseIsRefused) {
  for (const std::string& text :
       {std::string("GET / HTTP/1.1\r\n"), std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"),
        std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"),
        std::string("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), std::string("PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n"),
        std::string("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), std::string("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"),
        std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"), std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX"),
        std::string("PROXY UNKNOWNX\r\n"), "PROXY UNKNOWN " + std::string(200, 'x'), kSignature + "\x31",
        kSignature + "\x22", kSignature + std::string("\x21\x11\0\x0b", 4),
        kSignature + std::string("\x21\x21\0\x0c", 4), kSignature + std::string("\x21\x11\xff\xff", 4),
        kSignature + std::string("\x21\x41\0\0", 4),
        kSignature + std::string("\x21\x21\0\x24", 4) + std::string(10, '\0') + "\xff\xff" + std::string(24, 'x')}) {
    EXPECT_EQ(parse_header(bytes_of(text)).verdict, HeaderVerdict::refused) << text;
  }
}

}  // namespace
}  // namespace headgate::proxy
