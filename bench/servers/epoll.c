/*
 * The base of comparison: REPLY [lines].  One thread, one epoll, a recv and a send per request.
 *
 * With "lines", send one reply for each line feed of a read, together.  Sockets are blocking: epoll
 * reports when one is readable, and a client that does not read its replies stops all others.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ = 65536, EVENTS = 512 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static size_t count_lines(const char *data, size_t size)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

static int send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0)
            return -1;
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char data[READ];
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int lines = argc > 2 && strcmp(argv[2], "lines") == 0, on = 1;

    if (argc < 2)
        return 2;
    size_t length = strlen(argv[1]);
    char *replies = malloc(length * READ);
    if (replies == NULL)
        fail("malloc");
    for (size_t i = 0; i < READ; i++)
        memcpy(replies + i * length, argv[1], length);

    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 4096) < 0)
        fail("listen");
    int epoll = epoll_create1(0);
    event.data.fd = server;
    epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event);

    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == server) {
                event.data.fd = accept(server, NULL, NULL);
                if (event.data.fd < 0)
                    continue;
                setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
                continue;
            }
            ssize_t got = recv(fd, data, READ, 0);
            size_t answers = got <= 0 ? 0 : lines ? count_lines(data, (size_t)got) : 1;
            if (got <= 0 || send_all(fd, replies, answers * length) < 0)
                close(fd);
        }
    }
}
