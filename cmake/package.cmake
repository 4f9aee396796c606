# Debian packages by `cpack -G DEB`: libmary0 (the library), libmary-dev (what programs are built with), mary (the command). Three, as Debian has it:
# a program that uses libmary needs neither headers nor the command, and two versions of the library can be installed at once.
# scripts/package.sh configures with what a package wants (prefix /usr) and builds them.
set(MARY_PACKAGE_MAINTAINER "mary developers <mary@mary.invalid>" CACHE STRING "maintainer of the Debian packages")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mary)
set(CPACK_PACKAGE_VENDOR mary)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own
set(CPACK_PACKAGE_CONTACT "${MARY_PACKAGE_MAINTAINER}")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian/finish.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${MARY_PACKAGE_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(NOT DPKG_SHLIBDEPS) # packages then state no dependencies on libraries: for looking at, not for installing
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS OFF)
endif()

get_target_property(soversion mary_shared SOVERSION)
set(about "M-ary quantisation gives every weight of a float ONNX model one of M values\n\
and, with samples, every activation one byte. The result is an ordinary ONNX\n\
file, many times smaller, which any ONNX runtime with functions runs.\n")

# One package: its component, and copyright and changelog beside it, which `cmake --install` has no use for. A macro: CPack reads its
# variables in the scope that includes it.
include(CPackComponent)
macro(mary_package package component section summary text)
  string(TOUPPER ${component} key)
  cpack_add_component_group(${component}_package)
  cpack_add_component(${component} GROUP ${component}_package)
  cpack_add_component(${component}_debian GROUP ${component}_package)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/debian/copyright ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog.gz
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component}_debian EXCLUDE_FROM_ALL)
  set(CPACK_DEBIAN_${key}_PACKAGE_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${key}_PACKAGE_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${key}_PACKAGE_DESCRIPTION "${summary}\n${about}\n${text}")
  list(APPEND CPACK_COMPONENTS_ALL ${component} ${component}_debian)
endmacro()

set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENTS_ALL "")
mary_package(libmary${soversion} Runtime libs "M-ary quantisation of ONNX models: library"
             "This package has the shared library: converter and runtime.")
mary_package(libmary-dev Development libdevel "M-ary quantisation of ONNX models: files to build with"
             "This package has the header, the static library, the CMake package and the\nfile for pkg-config.")
mary_package(mary Program science "M-ary quantisation of ONNX models: command"
             "This package has the command mary, which converts, runs, measures and\nvalidates models, and the documents.")

set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/debian/triggers)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_PACKAGE_DEPENDS
    "libmary${soversion} (= ${PROJECT_VERSION}), libprotobuf-c-dev, libjansson-dev")

# ---- copyright and changelog
file(GLOB license ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE* ${CMAKE_CURRENT_SOURCE_DIR}/COPYING*)
if(license)
  list(GET license 0 license)
  configure_file(${license} ${CMAKE_CURRENT_BINARY_DIR}/debian/copyright COPYONLY)
else()
  configure_file(${CMAKE_CURRENT_LIST_DIR}/debian/copyright ${CMAKE_CURRENT_BINARY_DIR}/debian/copyright COPYONLY)
endif()
string(TIMESTAMP MARY_PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC) # or of SOURCE_DATE_EPOCH, when it is set
configure_file(${CMAKE_CURRENT_LIST_DIR}/debian/changelog.in ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog @ONLY)
find_program(GZIP gzip)
if(GZIP)
  execute_process(COMMAND ${GZIP} -9nkf ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog COMMAND_ERROR_IS_FATAL ANY)
else()
  file(ARCHIVE_CREATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog.gz PATHS ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog
       FORMAT raw COMPRESSION GZip)
endif()

include(CPack)
