// A room server on uWebSockets: its own publish and subscribe, nothing else.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "App.h"

struct Member {
    std::string room;
};

int main(int count, char **arguments) {
    bool compresses = count == 3 && std::string_view(arguments[2]) == "--compression";
    std::string address = count == 2 || compresses ? arguments[1] : "";
    size_t colon = address.rfind(':');
    if (colon == std::string::npos) {
        std::fprintf(stderr, "usage: uws 127.0.0.1:9000 [--compression]\n");
        return 2;
    }
    std::string host = address.substr(0, colon);
    int port = std::atoi(address.c_str() + colon + 1);

    uWS::App app;
    app.ws<Member>("/*", {
        .compression = compresses ? uWS::SHARED_COMPRESSOR : uWS::DISABLED,
        .maxPayloadLength = 16 * 1024 * 1024,
        .idleTimeout = 0,
        .maxBackpressure = 64 * 1024 * 1024,
        .closeOnBackpressureLimit = false,
        .resetIdleTimeoutOnSend = false,
        .sendPingsAutomatically = false,
        .upgrade = [](auto *response, auto *request, auto *context) {
            Member member{std::string(request->getUrl())};
            response->template upgrade<Member>(std::move(member), request->getHeader("sec-websocket-key"),
                request->getHeader("sec-websocket-protocol"), request->getHeader("sec-websocket-extensions"), context);
        },
        .open = [](auto *socket) { socket->subscribe(socket->getUserData()->room); },
        .message = [&app, compresses](auto *socket, std::string_view message, uWS::OpCode opcode) {
            // The app's publish reaches everybody, the socket's own all but the sender.
            app.publish(socket->getUserData()->room, message, opcode, compresses);
        },
    });
    app.listen(host, port, [&address](auto *listening) {
        if (!listening) {
            std::fprintf(stderr, "uws: cannot listen on %s\n", address.c_str());
            std::exit(1);
        }
    });
    app.run();
}
