/* Preloaded into a program that is to reach nobody: whoever asks the system for a way out is told
   on standard error, and ended. Sockets between processes of this machine (AF_UNIX) are allowed;
   with CAGE=loopback those of the loopback address are too. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netdb.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void caught(const char *what) {
  dprintf(2, "CAGE: %s\n", what);
  _exit(86);
}

static int loopback(void) {
  const char *mode = getenv("CAGE");
  return mode && !strcmp(mode, "loopback");
}

static int is_home(const struct sockaddr *to) {
  if (to->sa_family == AF_UNIX || to->sa_family == AF_UNSPEC) return 1;
  if (!loopback()) return 0;
  if (to->sa_family == AF_INET)
    return (ntohl(((const struct sockaddr_in *)to)->sin_addr.s_addr) >> 24) == 127;
  return to->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)to)->sin6_addr);
}

int socket(int domain, int type, int protocol) {
  int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
  if (!loopback() && (domain == AF_INET || domain == AF_INET6)) caught("socket");
  return real(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t size) {
  int (*real)(int, const struct sockaddr *, socklen_t) =
      (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
  if (!is_home(to)) caught("connect");
  return real(fd, to, size);
}

ssize_t sendto(int fd, const void *data, size_t count, int flags, const struct sockaddr *to,
               socklen_t size) {
  ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
      (ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(
          RTLD_NEXT, "sendto");
  if (to && !is_home(to)) caught("sendto");
  return real(fd, data, count, flags, to, size);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
      (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
          RTLD_NEXT, "getaddrinfo");
  int home = loopback() && (!host || !strcmp(host, "127.0.0.1") || !strcmp(host, "localhost"));
  if (!home) caught("getaddrinfo");
  return real(host, service, hints, found);
}
