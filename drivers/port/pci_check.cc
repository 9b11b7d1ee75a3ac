#include "drivers/port/pci_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace headgate::port {

Result<void> check_pci_device(const std::string& address) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path device = "/sys/bus/pci/devices/" + address;
  if (!fs::exists(device, error)) {
    return fail(ErrorCode::not_found, "there is no PCI device " + address + "; `lspci -D` lists them");
  }
  const fs::path link = fs::read_symlink(device / "driver", error);
  const std::string driver = error ? "" : link.filename().string();
  // mlx4 and mlx5 keep their kernel driver and share the device with it; uio is left to those who insist.
  if (driver == "mlx4_core" || driver == "mlx5_core" || driver == "uio_pci_generic" || driver == "igb_uio") return {};
  if (driver != "vfio-pci") {
    return fail(ErrorCode::unavailable, "PCI device " + address + " is " +
                                            (driver.empty() ? "bound to no driver" : "bound to the driver " + driver) +
                                            "; give it to us with `dpdk-devbind.py --bind=vfio-pci " + address + "`");
  }
  const fs::path group = fs::read_symlink(device / "iommu_group", error).filename();
  if (error) return {};  // no IOMMU: EAL says what it thinks of that
  fs::path node = "/dev/vfio" / group;
  if (!fs::exists(node, error)) node = fs::path("/dev/vfio") / ("noiommu-" + group.string());
  const int fd = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    return {};
  }
  if (errno == EBUSY) {
    return fail(ErrorCode::unavailable, "PCI device " + address + " (VFIO group " + group.string() +
                                            ") is in use by another process; `fuser -v " + node.string() +
                                            "` names it");
  }
  if (errno == EACCES || errno == EPERM)
    return fail(ErrorCode::permission_denied, "no permission to open " + node.string() + "; start as root");
  return {};
}

}  // namespace headgate::port
