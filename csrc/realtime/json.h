// Reading the JSON of a plan file as it comes: objects, arrays, strings without escapes, integers, true and false. What a
// file says is never trusted: whatever is not of this form throws, nothing is built that is larger than the text.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/error.h"

namespace tg::realtime {

class JsonReader {
 public:
  JsonReader(std::string_view text, const char* who) : text_(text), who_(who) {}

  // field(key) reads the value of every key.
  template <class Field>
  void object(Field field) {
    expect('{');
    if (take('}')) return;
    do {
      const std::string_view key = string();
      expect(':');
      field(key);
    } while (take(','));
    expect('}');
  }
  // item() reads each item.
  template <class Item>
  void array(Item item) {
    expect('[');
    if (take(']')) return;
    do item();
    while (take(','));
    expect(']');
  }
  std::string_view string() {
    expect('"');
    const size_t first = at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' || static_cast<unsigned char>(text_[at_]) < ' ') refuse("a plain string");
      at_++;
    }
    const std::string_view s = text_.substr(first, at_ - first);
    expect('"');
    return s;
  }
  int32_t integer() {
    skip();
    const bool negative = at_ < text_.size() && text_[at_] == '-';
    if (negative) at_++;
    const size_t first = at_;
    int64_t n = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      n = 10 * n + (text_[at_++] - '0');
      if (n > INT32_MAX) refuse("an integer of 32 bits");
    }
    if (at_ == first || (text_[first] == '0' && at_ > first + 1)) refuse("an integer");
    return static_cast<int32_t>(negative ? -n : n);
  }
  bool boolean() {
    skip();
    for (const std::string_view word : {"true", "false"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word.size() == 4;
      }
    refuse("true or false");
  }
  void end() {
    skip();
    if (at_ != text_.size()) refuse("the end");
  }
  [[noreturn]] void refuse(const char* expected) const {
    fail(ErrorKind::Value, "[", who_, "] the file is damaged: byte ", at_, " of its header is not ", expected);
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) at_++;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  void expect(char c) {
    const char wanted[] = {'\'', c, '\'', 0};
    if (c == '"') {
      skip();
      if (at_ >= text_.size() || text_[at_] != c) refuse("a string");
      at_++;
    } else if (!take(c)) {
      refuse(wanted);
    }
  }
  std::string_view text_;
  const char* who_;
  size_t at_ = 0;
};

}  // namespace tg::realtime
