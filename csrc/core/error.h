// One exception type for the whole core. `kind` says which Python exception it becomes.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace tg {

enum class ErrorKind { Runtime, Type, Value, Index, Memory, NotImplemented, DeviceMemory };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
  ErrorKind kind;
};

// fail(ErrorKind::Value, "[sum] dim ", d, " is out of range"): message pieces are streamed in order.
template <class... Pieces>
[[noreturn]] void fail(ErrorKind kind, const Pieces&... pieces) {
  std::ostringstream text;
  (text << ... << pieces);
  throw Error(kind, text.str());
}

}  // namespace tg
