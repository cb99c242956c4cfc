// SPDX-License-Identifier: MIT
// The ID server's listening sockets.
#include "net/id_service_private.h"

#include "core/alloc.h"
#include "net/acceptor.h"
#include "net/listen.h"
#include "net/udp.h"

#include <stdlib.h>

void rds_id_service_add_udp(struct rds_id_service *service, int fd, int receive_bytes)
{
	rds_udp_add(service->udp, fd, receive_bytes);
}

static void add_listener(struct rds_id_service *service, int fd, enum rds_door door,
                         rds_sha1_fn sha1)
{
	struct listener *listener = rds_calloc(1, sizeof *listener);
	struct rds_addr local = {0};
	listener->service = service;
	listener->door = door;
	listener->sha1 = sha1;
	(void)rds_local_addr(fd, &local);
	listener->proxy_header = rds_proxies_expect_header(&service->proxies, local.port);
	listener->acceptor = rds_acceptor_new(service->loop, fd, id_service_accept, listener);
	service->listeners = rds_realloc(service->listeners, service->n_listeners + 1,
	                                 sizeof(struct listener *));
	service->listeners[service->n_listeners++] = listener;
}

void rds_id_service_add_tcp(struct rds_id_service *service, int fd, enum rds_door door)
{
	add_listener(service, fd, door, NULL);
}

void rds_id_service_add_websocket(struct rds_id_service *service, int fd, rds_sha1_fn sha1)
{
	add_listener(service, fd, RDS_DOOR_WEBSOCKET, sha1);
}

static void listener_free(struct listener *listener)
{
	rds_acceptor_free(listener->acceptor);
	free(listener);
}

void rds_id_service_remove(struct rds_id_service *service, int fd)
{
	rds_udp_remove(service->udp, fd);
	for (size_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener = service->listeners[i];
		if (rds_acceptor_fd(listener->acceptor) != fd)
			continue;
		service->listeners[i] = service->listeners[--service->n_listeners];
		listener_free(listener);
		return;
	}
}

void id_service_close_doors(struct rds_id_service *service)
{
	for (size_t i = 0; i < service->n_listeners; i++)
		listener_free(service->listeners[i]);
	free(service->listeners);
	service->n_listeners = 0;
}
