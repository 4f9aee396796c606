# What `cmake --install` puts where. Nothing installed names a path of this tree or of the prefix: a prefix may be moved. docs/installing.md
# is the description; tests/install/ checks it.
#
# Components: Runtime (libmary.so.N), Development (header, link name, archive, pkg-config, CMake package), Program (mary and its documents,
# plugins). Without --component all are installed.
include(CMakePackageConfigHelpers)

set(MARY_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/mary)

# ---- libraries. Two exports, because only users of the archive need what it was built from.
set_target_properties(mary_shared PROPERTIES EXPORT_NAME mary)
set_target_properties(mary_static PROPERTIES EXPORT_NAME static)
install(TARGETS mary_shared EXPORT mary_shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Runtime NAMELINK_COMPONENT Development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS mary_static EXPORT mary_static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/include/mary.h ${CMAKE_CURRENT_SOURCE_DIR}/include/mary_train.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Development)

# ---- the CMake package
install(EXPORT mary_shared NAMESPACE mary:: FILE mary-shared.cmake DESTINATION ${MARY_CMAKE_DIR} COMPONENT Development)
install(EXPORT mary_static NAMESPACE mary:: FILE mary-static.cmake DESTINATION ${MARY_CMAKE_DIR} COMPONENT Development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/maryConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/maryConfig.cmake
                              INSTALL_DESTINATION ${MARY_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/maryConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/maryConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/maryConfigVersion.cmake
        DESTINATION ${MARY_CMAKE_DIR} COMPONENT Development)

# ---- pkg-config: the prefix is told from where the file lies, when the directories are relative
foreach(dir LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(MARY_PC_${dir} "${CMAKE_INSTALL_${dir}}")
  else()
    set(MARY_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(MARY_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
  string(REGEX REPLACE "[^/]+" ".." up "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
  set(MARY_PC_PREFIX "\${pcfiledir}/${up}")
endif()
list(TRANSFORM OpenMP_C_LIB_NAMES PREPEND "-l" OUTPUT_VARIABLE libraries)
list(JOIN libraries " " MARY_PC_OPENMP)
configure_file(${CMAKE_CURRENT_LIST_DIR}/mary.pc.in ${CMAKE_CURRENT_BINARY_DIR}/mary.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mary.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Development)

# ---- the command, what it reads like, and the documents
if(TARGET mary)
  install(TARGETS mary RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT Program)
  install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/docs/mary.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT Program)
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          RENAME mary COMPONENT Program)
endif()
file(GLOB documents CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/docs/*.md)
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT Program)
install(FILES ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT Program)

# ---- plugins of ONNX Runtime: opened by path, so beside the libraries and not among them
foreach(plugin mary_ort mary_ort_ep)
  if(TARGET ${plugin})
    install(TARGETS ${plugin} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/mary COMPONENT Program NAMELINK_SKIP)
  endif()
endforeach()
