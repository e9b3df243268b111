// Where memory is: a kind of device, and which one of them.
#pragma once
#include <cstdint>
#include <string>

namespace tg {

enum class Device : uint8_t { Cpu, Cuda, Test };  // Test: the counting backend of the test suite
inline constexpr int kDevices = 3;
inline constexpr int kMaxDevices = 64;  // of one kind
inline const char* name(Device d) { return d == Device::Cpu ? "cpu" : d == Device::Cuda ? "cuda" : "test"; }

struct Place {
  Place(Device device = Device::Cpu, int index = 0) : device(device), index(static_cast<uint8_t>(index)) {}
  Device device;
  uint8_t index;
  bool operator==(const Place&) const = default;
};
inline std::string name(Place p) {
  return p.device == Device::Cuda ? "cuda:" + std::to_string(p.index) : name(p.device);
}

}  // namespace tg
