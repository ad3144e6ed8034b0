/* Client.java - java.net.Socket and DatagramSocket as clients.
 *
 * usage: java Client.java tcp HOST PORT      sends lines, half-closes, prints what comes
 *        java Client.java tls HOST PORT      the same over TLS, the name checked
 *        java Client.java udp HOST PORT      sends a datagram, prints the answer
 */
import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import javax.net.ssl.*;

public class Client {
	static Socket tls(String host, int port) throws IOException {
		SSLSocket socket = (SSLSocket) SSLSocketFactory.getDefault().createSocket(host, port);
		SSLParameters parameters = socket.getSSLParameters();
		parameters.setEndpointIdentificationAlgorithm("HTTPS");
		socket.setSSLParameters(parameters);
		return socket;
	}

	static void converse(Socket connected) throws IOException {
		try (Socket socket = connected) {
			socket.setSoTimeout(20000);
			PrintWriter out = new PrintWriter(
				new OutputStreamWriter(socket.getOutputStream(), StandardCharsets.UTF_8), true);
			BufferedReader in = new BufferedReader(
				new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
			out.print("request 1\n");
			out.flush();
			System.out.println(in.readLine()); // a conversation: the answer before the next
			out.print("request 2\nol\u00e1\n");
			out.flush();
			socket.shutdownOutput();
			for (String line; (line = in.readLine()) != null; )
				System.out.println(line);
		}
	}

	static void udp(String host, int port) throws IOException {
		try (DatagramSocket socket = new DatagramSocket()) {
			socket.setSoTimeout(20000);
			byte[] request = "datagram".getBytes(StandardCharsets.UTF_8);
			socket.send(new DatagramPacket(
				request, request.length, InetAddress.getByName(host), port));
			DatagramPacket answer = new DatagramPacket(new byte[100], 100);
			socket.receive(answer);
			System.out.println(new String(
				answer.getData(), 0, answer.getLength(), StandardCharsets.UTF_8));
		}
	}

	public static void main(String[] args) throws IOException {
		System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8"));
		if (args[0].equals("tcp"))
			converse(new Socket(args[1], Integer.parseInt(args[2])));
		else if (args[0].equals("tls"))
			converse(tls(args[1], Integer.parseInt(args[2])));
		else
			udp(args[1], Integer.parseInt(args[2]));
	}
}
