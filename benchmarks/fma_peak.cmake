# A library of its own, for the program's `bench` and for the benchmark driver alike.
include_guard(GLOBAL)
find_package(Threads REQUIRED)
find_package(hwy CONFIG QUIET)
if(NOT TARGET hwy::hwy)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy>=1.0.3)
  add_library(hwy::hwy ALIAS PkgConfig::HWY)
endif()

add_library(warpmeans_fma_peak STATIC ${CMAKE_CURRENT_LIST_DIR}/fma_peak.cpp)
target_include_directories(warpmeans_fma_peak PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(warpmeans_fma_peak
  PRIVATE $<BUILD_INTERFACE:warpmeans_flags> Threads::Threads hwy::hwy)
