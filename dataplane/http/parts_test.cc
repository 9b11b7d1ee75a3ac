// The small parts: names of fields, hosts, framing fields.
#include <gtest/gtest.h>

#include "dataplane/http/chars.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/host.h"

namespace headgate::http {
namespace {

TEST(Classify, KnowsEveryNameInAnyCaseAndNothingElse) {
  for (unsigned i = 0; i < static_cast<unsigned>(FieldName::other); ++i) {
    const auto name = static_cast<FieldName>(i);
    std::string text(to_string(name));
    EXPECT_EQ(classify(text), name);
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(classify(text), name);
    for (std::size_t at = 0; at < text.size(); ++at) {
      for (unsigned c = 0; c < 256; ++c) {
        std::string other = text;
        other[at] = static_cast<char>(c);
        if (is(other[at], kToken) && lower(other[at]) != lower(text[at])) {
          EXPECT_NE(classify(other), name) << other;
        }
      }
    }
    EXPECT_NE(classify(text + "x"), name);
  }
  EXPECT_EQ(classify(""), FieldName::other);
  EXPECT_EQ(classify(std::string(1000, 'a')), FieldName::other);
}

TEST(Authority, IsANameOrAddressWithAnOptionalPort) {
  struct Row {
    const char *text, *host;
    std::uint16_t port;
  };
  for (const Row& row :
       {Row{"a.test", "a.test", 0}, Row{"A.Test.:8080", "A.Test.", 8080}, Row{"192.0.2.1:1", "192.0.2.1", 1},
        Row{"[2001:db8::1]", "[2001:db8::1]", 0}, Row{"[::1]:65535", "[::1]", 65535}, Row{"a_b-c", "a_b-c", 0}}) {
    const auto authority = parse_authority(row.text);
    ASSERT_TRUE(authority) << row.text;
    EXPECT_EQ(authority->host, row.host);
    EXPECT_EQ(authority->port, row.port);
  }
  for (const char* text : {"",
                           ".",
                           "a..b",
                           ".a",
                           "a/b",
                           "a,b",
                           "a b",
                           "a@b",
                           "u:p@b",
                           "a:",
                           "a:0",
                           "a:65536",
                           "a:-1",
                           "a:1x",
                           "a:1:2",
                           ":80",
                           "[::1",
                           "::1",
                           "[::1]x",
                           "[192.0.2.1]",
                           "[::ffff:192.0.2.1]",
                           "[fe80::1%25eth0]",
                           "[]",
                           "a%2eb",
                           "a\x80",
                           "a?b",
                           "a#b",
                           "a\\b",
                           "[::1]]",
                           "a]:80",
                           "\"a\"",
                           "a;b",
                           "*",
                           "a*"}) {
    EXPECT_FALSE(parse_authority(text)) << text;
  }
  EXPECT_TRUE(parse_authority(std::string(kHostMax, 'a')));
  EXPECT_FALSE(parse_authority(std::string(kHostMax + 1, 'a')));
}

TEST(Authority, HasOneNormalForm) {
  std::array<char, kHostMax> space;
  EXPECT_EQ(normal_host("A.Test.", space), "a.test");
  EXPECT_EQ(normal_host("[2001:DB8::1]", space), "[2001:db8::1]");
  const std::string_view plain = "a.test";
  EXPECT_EQ(normal_host(plain, space).data(), plain.data());
  EXPECT_TRUE(same_authority({"A.test", 0}, {"a.test.", 80}, 80));
  EXPECT_FALSE(same_authority({"a.test", 0}, {"a.test", 8080}, 80));
  EXPECT_FALSE(same_authority({"a.test", 0}, {"b.test", 0}, 80));
}

TEST(TransferEncoding, IsChunkedAloneOrRefused) {
  struct Row {
    const char* value;
    Reason reason;
  };
  for (const Row& row :
       {Row{"chunked", Reason::none}, Row{"CHUNKED", Reason::none}, Row{"", Reason::bad_encoding},
        Row{"xchunked", Reason::encoding_unsupported}, Row{"gzip, chunked", Reason::encoding_unsupported},
        Row{"identity", Reason::encoding_unsupported}, Row{"gzip;q=1", Reason::encoding_unsupported},
        Row{"chunked, gzip", Reason::chunked_not_last}, Row{"chunked, identity", Reason::chunked_not_last},
        Row{"chunked, chunked", Reason::repeated_encoding}, Row{",chunked", Reason::bad_encoding},
        Row{"chunked,", Reason::bad_encoding}, Row{"\"chunked\"", Reason::bad_encoding},
        Row{"chunked;a=b", Reason::bad_encoding}, Row{"chunked ;a", Reason::bad_encoding},
        Row{"chun ked", Reason::bad_encoding}, Row{"chunked\x80", Reason::bad_encoding},
        Row{";", Reason::bad_encoding}}) {
    EXPECT_STREQ(to_string(read_transfer_encoding(row.value)), to_string(row.reason)) << row.value;
  }
}

TEST(ContentLength, IsDigitsAndFitsIntoSixtyThreeBits) {
  std::uint64_t length = 7;
  for (const char* value : {"", "-1", "+1", "1_0", "0x1", " 1", "1 ", "1,1", "1e3", "1.0", "\v1", "\xb2",
                            "9223372036854775808", "99999999999999999999999"}) {
    EXPECT_EQ(read_content_length(value, length), Reason::bad_content_length) << value;
  }
  EXPECT_EQ(length, 7u);
  EXPECT_EQ(read_content_length("9223372036854775807", length), Reason::none);
  EXPECT_EQ(length, 9223372036854775807u);
  EXPECT_EQ(read_content_length("00000000000000000000000000012", length), Reason::none);
  EXPECT_EQ(length, 12u);
}

}  // namespace
}  // namespace headgate::http
