#include "dataplane/http/chunked.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

using testing::every_byte;
using testing::read_body;
using testing::ReadBody;

struct Chunked {
  std::array<char, kTrailerBytesMax> space;
  BodyReader reader;

  explicit Chunked(std::uint64_t body_bytes_max = ~0ull, const Scanner& scanner = kSse42Scanner) {
    Head head;
    head.body = BodyKind::chunked;
    reader.start(head, space, body_bytes_max, scanner);
  }
};

struct Row {
  std::string text;
  Reason reason;
  std::string content = "", trailers = "", left = "";
};

const std::vector<Row>& rows() {
  constexpr auto kNone = Reason::none;
  static const std::vector<Row> all{
      {"5\r\nhello\r\n0\r\n\r\nGET", kNone, "hello", "", "GET"},
      {"0\r\n\r\n", kNone},
      {"000\r\n\r\n", kNone},
      {"005\r\nhello\r\n00\r\n\r\n", kNone, "hello"},
      {"1\r\na\r\n1\r\nb\r\nA\r\n0123456789\r\n0\r\n\r\n", kNone, "ab0123456789"},
      {"a\r\n0123456789\r\n0\r\n\r\n", kNone, "0123456789"},
      {"1;x\r\na\r\n0;y=z;w=\"q\\\"; \t\" ; v = 1\r\n\r\n", kNone, "a"},
      {"0\r\nX-A: b\r\nDate: d\r\n\r\nrest", kNone, "", "X-A=b;Date=d;", "rest"},
      {"0\r\nX-A: b\r\nContent-Length: 5\r\nHost: x\r\nTransfer-Encoding: chunked\r\nCookie: a\r\n\r\n", kNone, "",
       "X-A=b;"},
      {"+3\r\nabc\r\n", Reason::bad_chunk_size},
      {"-3\r\nabc\r\n", Reason::bad_chunk_size},
      {"0x3\r\nabc\r\n", Reason::bad_chunk_size},
      {" 3\r\nabc\r\n", Reason::bad_chunk_size},
      {"3 \r\nabc\r\n", Reason::bad_chunk_size},
      {"3 ;x\r\nabc\r\n", Reason::bad_chunk_size},
      {"\r\n", Reason::bad_chunk_size},
      {";x\r\n", Reason::bad_chunk_size},
      {"g\r\n", Reason::bad_chunk_size},
      {"3\nabc\r\n", Reason::bad_chunk_size},
      {"3_0\r\n", Reason::bad_chunk_size},
      {"7fffffffffffffff\r\n", Reason::count},
      {"8000000000000000\r\n", Reason::chunk_too_large},
      {"ffffffffffffffff\r\n", Reason::chunk_too_large},
      {"10000000000000003\r\n", Reason::chunk_too_large},
      {"00000000000000003\r\n", Reason::chunk_too_large},
      {"3\r\rabc", Reason::bad_line_end},
      {"3\r\nabc\n0\r\n\r\n", Reason::bad_chunk_end, "abc"},
      {"3\r\nabc\r0", Reason::bad_chunk_end, "abc"},
      {"3\r\nabcd\r\n", Reason::bad_chunk_end, "abc"},
      {"3;\r\nabc", Reason::bad_chunk_extension},
      {"3;=\r\nabc", Reason::bad_chunk_extension},
      {"3;a=\r\nabc", Reason::bad_chunk_extension},
      {"3;a b\r\nabc", Reason::bad_chunk_extension},
      {"3;a=b c\r\nabc", Reason::bad_chunk_extension},
      {"3;a=\"b\r\nabc", Reason::bad_chunk_extension},
      {"3;a=\"b\"c\r\nabc", Reason::bad_chunk_extension},
      {"3;a\nabc", Reason::bad_chunk_extension},
      {"3;a\rb\r\nabc", Reason::bad_line_end},
      {std::string("3;a\0\r\nabc", 9), Reason::bad_chunk_extension},
      {std::string("3;a=\"\0\"\r\nabc", 12), Reason::bad_chunk_extension},
      {"3;" + std::string(kExtensionBytesMax + 1, 'a') + "\r\nabc", Reason::chunk_extension_too_large},
      {"0\r\nno colon\r\n\r\n", Reason::space_in_name},
      {"0\r\nnocolon\r\n\r\n", Reason::missing_colon},
      {"0\r\nA: b\n\r\n", Reason::bad_line_end},
      {"0\r\nA: b\r\n c\r\n\r\n", Reason::obs_fold},
      {"0\r\n\n", Reason::bad_line_end},
      {"0\r\n\rx", Reason::bad_line_end},
      {"0\r\nA: " + std::string(kTrailerBytesMax, 'a'), Reason::trailers_too_large},
      {"5\r\nhello\r\n", Reason::count, "hello"},
  };
  return all;
}

ReadBody expected(const Row& row) {
  ReadBody result;
  result.content = row.content;
  result.trailers = row.trailers;
  result.end = row.reason == Reason::none    ? Piece::Kind::end
               : row.reason == Reason::count ? Piece::Kind::need_more
                                             : Piece::Kind::refused;
  if (result.end == Piece::Kind::refused) result.reason = row.reason;
  return result;
}

TEST(Chunked, IsDecodedOrRefusedHoweverItIsCut) {
  for (const Row& row : rows()) {
    Chunked whole;
    const ReadBody read = read_body(whole.reader, row.text, {});
    ReadBody wanted = expected(row);
    wanted.used = read.used;
    EXPECT_STREQ(to_string(read.reason), to_string(wanted.reason)) << row.text.substr(0, 80);
    EXPECT_EQ(read, wanted) << row.text.substr(0, 80);
    if (read.end == Piece::Kind::end) {
      EXPECT_EQ(row.text.substr(read.used), row.left);
    }
    if (row.text.size() > 1000) continue;
    Chunked bytes(~0ull, kScalarScanner);
    EXPECT_EQ(read_body(bytes.reader, row.text, every_byte(row.text)), read) << row.text;
    for (std::size_t cut = 0; cut < row.text.size(); ++cut) {
      Chunked split;
      EXPECT_EQ(read_body(split.reader, row.text, {cut}), read) << row.text << " cut at " << cut;
    }
  }
}

TEST(Chunked, BoundsContentAndExtensionsOfTheWholeMessage) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "1;" + std::string(200, 'x') + "\r\na\r\n";
  Chunked extensions;
  EXPECT_EQ(read_body(extensions.reader, text, {}).reason, Reason::chunk_extension_too_large);
  Chunked content(5);
  const ReadBody read = read_body(content.reader, "3\r\nabc\r\n3\r\ndef\r\n", {});
  EXPECT_EQ(read.reason, Reason::body_too_large);
  EXPECT_EQ(read.content, "abc");
  Chunked fits(6);
  EXPECT_EQ(read_body(fits.reader, "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", {}).end, Piece::Kind::end);
}

TEST(Chunked, WhatIsWrittenIsReadAgain) {
  Rng rng(testing::seed());
  for (unsigned round = 0; round < testing::rounds(300); ++round) {
    std::string text, content;
    for (unsigned chunks = rng.below(5); chunks > 0; --chunks) {
      const std::string chunk(1 + rng.below(5000), static_cast<char>(rng.below(256)));
      text.append(ChunkHeader(chunk.size()).text()).append(chunk).append(kChunkEnd);
      content += chunk;
    }
    text += kLastChunkAndEnd;
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; (at += 1 + rng.below(2000)) < text.size();) cuts.push_back(at);
    Chunked chunked;
    const ReadBody read = read_body(chunked.reader, text + "more", cuts);
    ASSERT_EQ(read.end, Piece::Kind::end);
    ASSERT_EQ(read.content, content);
    ASSERT_EQ(read.used, text.size());
  }
  EXPECT_EQ(ChunkHeader(~std::uint64_t{0}).text(), "ffffffffffffffff\r\n");
  EXPECT_EQ(ChunkHeader(1).text(), "1\r\n");
}

TEST(BodyReader, CountsLengthsAndKnowsWhenAnEndIsPremature) {
  std::array<char, 64> space;
  BodyReader reader;
  Head head;
  reader.start(head, space, ~0ull);
  EXPECT_EQ(reader.next("next").kind, Piece::Kind::end);
  head.body = BodyKind::length;
  head.content_length = 5;
  reader.start(head, space, ~0ull);
  EXPECT_EQ(reader.next("").kind, Piece::Kind::need_more);
  EXPECT_EQ(reader.next("hel").data, "hel");
  EXPECT_FALSE(reader.ended_well());
  EXPECT_EQ(reader.next("loGET").data, "lo");
  EXPECT_TRUE(reader.ended_well());
  EXPECT_EQ(reader.next("GET").kind, Piece::Kind::end);
  EXPECT_EQ(reader.next("GET").used, 0u);
  head.body = BodyKind::until_close;
  reader.start(head, space, ~0ull);
  EXPECT_EQ(reader.next("all of it").data, "all of it");
  EXPECT_TRUE(reader.ended_well());
  head.body = BodyKind::chunked;
  reader.start(head, space, ~0ull);
  EXPECT_EQ(reader.next("3\r\nab").data, "ab");
  EXPECT_FALSE(reader.ended_well());
  EXPECT_EQ(reader.next("c\r\n0\r\n").data, "c");
  EXPECT_EQ(reader.next("\r\n0\r\n").kind, Piece::Kind::need_more);
  EXPECT_FALSE(reader.ended_well());
  EXPECT_EQ(reader.next("\r\n").kind, Piece::Kind::end);
  EXPECT_TRUE(reader.ended_well());
}

}  // namespace
}  // namespace headgate::http
