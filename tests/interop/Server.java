/* Server.java - java.net.ServerSocket and DatagramSocket as servers, the textbook's way.
 *
 * usage: java Server.java tcp|tls|udp     prints "port N"; answers in capitals, one client
 */
import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import javax.net.ServerSocketFactory;
import javax.net.ssl.SSLServerSocketFactory;

public class Server {
	static void stream(ServerSocketFactory factory) throws IOException {
		try (ServerSocket listener =
				factory.createServerSocket(0, 50, InetAddress.getByName("127.0.0.1"))) {
			System.out.println("port " + listener.getLocalPort());
			try (Socket client = listener.accept()) {
				BufferedReader in = new BufferedReader(
					new InputStreamReader(client.getInputStream(), StandardCharsets.UTF_8));
				OutputStream out = client.getOutputStream();
				for (String line; (line = in.readLine()) != null; ) {
					String answer = line.toUpperCase(Locale.ROOT) + "\n";
					out.write(answer.getBytes(StandardCharsets.UTF_8));
				}
			}
		}
	}

	static void udp() throws IOException {
		try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getByName("127.0.0.1"))) {
			System.out.println("port " + socket.getLocalPort());
			DatagramPacket packet = new DatagramPacket(new byte[2000], 2000);
			socket.receive(packet);
			String answer = new String(packet.getData(), 0, packet.getLength(),
				StandardCharsets.UTF_8).toUpperCase(Locale.ROOT);
			packet.setData(answer.getBytes(StandardCharsets.UTF_8));
			socket.send(packet);
		}
	}

	public static void main(String[] args) throws IOException {
		if (args[0].equals("tcp"))
			stream(ServerSocketFactory.getDefault());
		else if (args[0].equals("tls"))
			stream(SSLServerSocketFactory.getDefault());
		else
			udp();
	}
}
