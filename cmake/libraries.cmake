# Everything from outside, as Debian packages it, with its headers as SYSTEM.
find_package(PkgConfig REQUIRED)
find_package(GTest REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_package(benchmark REQUIRED)
pkg_check_modules(DPDK REQUIRED libdpdk)
pkg_check_modules(LIBBPF REQUIRED libbpf)

# DPDK is linked statically, with the drivers that a port's kinds name and those of the NICs that appliances have. EAL of the
# shared libraries would load every driver that Debian packages at each start. All of an archive: drivers register themselves
# before main().
set(dpdk_drivers bus_auxiliary bus_pci bus_vdev bus_vmbus common_iavf common_mlx5 mempool_ring
  net_af_packet net_af_xdp net_bnxt net_e1000 net_ena net_gve net_i40e net_iavf net_ice net_igc net_ixgbe net_memif net_mlx5
  net_null net_pcap net_ring net_tap net_virtio net_vmxnet3)
set(dpdk_libraries cmdline cryptodev eal ethdev gso hash kvargs mbuf mempool meter net pci rcu ring security telemetry timer)
set(dpdk_archives)
foreach(name ${dpdk_drivers} ${dpdk_libraries})
  string(APPEND dpdk_archives ",-l:librte_${name}.a")
endforeach()

add_library(headgate_dpdk INTERFACE)
set(dpdk_flags ${DPDK_CFLAGS_OTHER})
list(FILTER dpdk_flags EXCLUDE REGEX "^-march")
target_compile_options(headgate_dpdk INTERFACE ${dpdk_flags})
target_include_directories(headgate_dpdk SYSTEM INTERFACE ${DPDK_INCLUDE_DIRS})
target_link_libraries(headgate_dpdk INTERFACE
  "-Wl,--whole-archive${dpdk_archives},--no-whole-archive" numa pcap xdp bpf ibverbs mlx5 bsd)

# gRPC, protobuf and abseil are linked statically too: sixty shared libraries were most of what the console needs from its start to
# its prompt.
file(GLOB abseil_archives /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libabsl_*.a)
add_library(headgate_protobuf INTERFACE)
target_compile_options(headgate_protobuf INTERFACE -pthread)
target_link_libraries(headgate_protobuf INTERFACE -l:libprotobuf.a z)
add_library(headgate_grpc INTERFACE)
target_link_libraries(headgate_grpc INTERFACE
  -l:libgrpc++_reflection.a -l:libgrpc++.a -l:libgrpc.a -l:libgpr.a -l:libaddress_sorting.a -l:libupb.a -l:libre2.a
  ${abseil_archives} headgate_protobuf cares ssl crypto)

add_library(headgate_bpf INTERFACE)
target_include_directories(headgate_bpf SYSTEM INTERFACE ${LIBBPF_INCLUDE_DIRS})
target_link_libraries(headgate_bpf INTERFACE ${LIBBPF_LDFLAGS})

# headgate_proto(NAME file.proto [GRPC] [IMPORTS lib ...]): generated code in the build tree, included as "<folder>/x.pb.h".
function(headgate_proto name proto)
  cmake_parse_arguments(ARG "GRPC" "" "IMPORTS" ${ARGN})
  file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${proto})
  string(REGEX REPLACE "\\.proto$" "" stem ${relative})
  set(out ${PROJECT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  set(generated ${out}/${stem}.pb.cc)
  set(headers ${out}/${stem}.pb.h)  # named, or a build after a change of the schema compiles only half of who includes them
  set(arguments --proto_path=${PROJECT_SOURCE_DIR} --cpp_out=${out})
  if(ARG_GRPC)
    list(APPEND generated ${out}/${stem}.grpc.pb.cc)
    list(APPEND headers ${out}/${stem}.grpc.pb.h)
    list(APPEND arguments --grpc_out=${out} --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
  endif()
  add_custom_command(OUTPUT ${generated} ${headers}
    COMMAND protobuf::protoc ${arguments} ${PROJECT_SOURCE_DIR}/${relative}
    DEPENDS ${PROJECT_SOURCE_DIR}/${relative} VERBATIM)
  add_library(${name} STATIC ${generated})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_link_libraries(${name} PUBLIC headgate_protobuf ${ARG_IMPORTS})
  if(ARG_GRPC)
    target_link_libraries(${name} PUBLIC headgate_grpc)
  endif()
  if(HEADGATE_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${HEADGATE_SANITIZE})
  endif()
endfunction()
